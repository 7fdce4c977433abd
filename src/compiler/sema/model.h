// A model declaration, applied to a concrete file: configuration read, weights bound, the forward pass as one flat IR function.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "compiler/sema/library.h"

namespace lumen::sema {

// What a file offers; implemented over a Checkpoint by the engine. Everything by the file's own names.
class ModelSource {
 public:
  virtual ~ModelSource() = default;
  virtual std::string kind() const = 0;  // "gguf", "hf", "mlx": which alternatives of a binding apply
  virtual bool takes(const std::string& source) const { return source == kind(); }  // alternatives for `source` apply
  virtual std::string path() const = 0;  // for error messages
  // Called before a binding's alternatives are looked at, with the name of the entry of the configuration or of the weight ("wq[3]").
  virtual void next_binding(const std::string& name) const { (void)name; }
  virtual std::optional<StaticValue> config(const std::string& key) const = 0;  // numbers, bools, strings, arrays of numbers or strings
  struct TensorInfo {
    ir::Type type;  // dims constant, outermost first; scalar or format
  };
  virtual Result<std::optional<TensorInfo>> tensor(const std::string& name) const = 0;  // nullopt: the file has none of that name
};

// How a weight is made from the file's tensors: a small tree, evaluated by the engine at load.
struct WeightExpr {
  enum Kind : uint8_t {
    Tensor,    // the file's tensor `name`
    RopeRows,  // args[0] with rows permuted inside each of `heads` equal groups: pairs (2i, 2i+1) of the first `rotated` rows of
               // a group become (i, i + rotated / 2); any format
    Rows,      // rows [lo, hi) of args[0]; any format
    Concat,    // args stacked along the rows; equal formats
    AddConst,  // args[0] + value, unquantised only
    MulConst,
    Reshape,  // args[0] with dims of the weight's type
  } kind = Tensor;
  std::string name;
  int64_t heads = 0, rotated = 0, lo = 0, hi = 0;
  double value = 0;
  std::vector<WeightExpr> args;
};
struct Weight {
  std::string param;  // name of the IR param: "embed", "wq[3]"
  ir::Type type;      // as in the IR; a bare [N, K] takes the file's own type; f32[D] asks for conversion at load
  WeightExpr from;
};
struct State {
  std::string param;  // "k[3]"
  ir::Type type;      // paged: f16[P, G, kPageTokens, C], P symbolic
};

// Tokens in one page of a paged state.
inline constexpr int64_t kPageTokens = 32;

struct ModelInstance {
  std::string name;            // of the declaration
  ir::Function forward;        // params: the inputs it uses (tokens i32[T], pos i32[T], seq i32[T], rows i32[R],
                               // table i32[S, B]: block table), weights, states; result: logits f32[R, V]
  std::vector<int> residuals;  // values marked by residual(x): 0 the embedding, l + 1 after layer l
  std::map<std::string, StaticValue> config;
  std::vector<Weight> weights;
  std::vector<State> states;
};

// Errors: missing key or tensor, wrong shape: one line that names the file, the key or tensor, what was expected and found;
// mistakes in the declaration as rendered diagnostics.
Result<ModelInstance> instantiate(const Library& lib, const ast::ModelDecl& model, const ModelSource& source);

}  // namespace lumen::sema
