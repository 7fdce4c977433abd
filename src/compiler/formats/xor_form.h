// A raw code as the exclusive or of functions of separate source bits: how codes are read at the speed of loading. Bits that are
// copied are such functions, and so are digits of a byte, rows of a table chosen by nine bits, and signs beside them.
#pragma once
#include "compiler/formats/listing.h"

namespace lumen::formats {

struct XorForm {
  struct Part {
    BitList bits;
    std::vector<uint8_t> table;  // by setting of the bits; table[0] is 0
  };
  uint8_t base = 0;
  std::vector<Part> parts;  // of disjoint bits; none can be taken apart further
};

// Those of all codes; codes that differ only in the field entries they read are looked at once. False where some part has too many bits.
bool find_xor_forms(const ir::FormatType& f, const std::vector<ir::ExprPtr>& raw, std::vector<XorForm>& forms);

}  // namespace lumen::formats
