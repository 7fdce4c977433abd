// FormatType: a storage format as the compiler sees it, made by sema from a .lum declaration, and its integer form,
// found by compiler/formats. Nothing here or below knows any format by name.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "compiler/ir/expr.h"
#include "compiler/ir/type.h"

namespace lumen::ir {

struct FormatField {
  std::string name;
  DType type;
  int count = 1;   // block formats: entries in a block (1 for a scalar field)
  int offset = 0;  // block formats: bytes from the start of the block (fields are packed, little-endian, in order)
  int per = 0;     // row-plane formats: one entry for `per` consecutive elements of a row
  ExprPtr derive;  // row-plane formats: entry Index 0 of this field from the fields before it (e.g. a block sum), or null
  // Block formats that a file keeps in several tensors: the last part of the name of the one that holds this field ("scales"); empty:
  // the weight's own. `rows` rows of `elements` elements share an entry (elements 0: a block has `count` entries of its own).
  std::string beside;
  int rows = 1, elements = 0;
};

enum class EncodeRule : uint8_t { Search, AbsMax };  // Search: scale search by compiler/formats; AbsMax: interp.h, exact

// One multiplicative factor of a value, shared by `extent` consecutive elements of a block.
struct ScaleLevel {
  int extent = 0;                // elements
  bool integer = false;
  int64_t lo = 0, hi = 0;        // integer levels: proven range
  DType stored = DType::F32;     // smallest type that holds every value exactly: F16, BF16, F32; I8, U8, I16
  std::vector<ExprPtr> value;    // (block / extent) expressions over Field
};

// value(k) = P(scale, k) * (code(k) + bias) + P(offset, k), where P multiplies the levels at k (1 for an empty scale list,
// 0 for an empty offset list) and code(k) = codebook.empty() ? raw(k) : codebook[raw(k)], 0 <= raw <= raw_max.
// At most one float and one integer level in each list (float first); more are folded together when the form is made.
struct IntForm {
  int block = 0;                 // elements
  int bits = 0;                  // bits of raw
  int raw_max = 0;
  int bias = 0;
  std::vector<int> codebook;     // values in [-128, 127] or [0, 255] after the bias is split off; size 1 << bits
  std::vector<ExprPtr> raw;      // `block` expressions over Field, type U8
  std::vector<ScaleLevel> scale, offset;
};

struct FormatType {
  std::string name;              // parameters spelled out: "codes<32>"
  int block = 1;                 // elements in a block along the innermost axis
  int block_bytes = 0;           // block formats
  bool row_planes = false;       // fields are planes inside each row: offset of a plane = sum of the planes before it, each
                                 // plane starts at a multiple of 4 bytes, the row stride is rounded up to 64 bytes
  std::vector<FormatField> fields;
  ExprPtr value;                 // f32 of Index 0 = element within the block (block formats) or within the row (row planes)
  EncodeRule encode = EncodeRule::Search;
  int code_field = -1, scale_field = -1;  // AbsMax: which fields receive the codes and the scales
  int gguf_type = -1;            // numeric GGUF tensor type, or -1
  std::string source;            // the declaration's text, for files that carry it
  std::optional<IntForm> form;   // set by formats::classify where there is one
  std::string why_no_form;       // otherwise: the reason, for people
};

// Bytes of one row of `k` elements; k must be a multiple of block.
int64_t row_bytes(const FormatType& f, int64_t k);
// Row-plane formats: byte offset of field `field` within a row of k elements.
int64_t plane_offset(const FormatType& f, int field, int64_t k);

}  // namespace lumen::ir
