// The making of a ModelInstance, in three parts: configuration, weights, forward pass.
#pragma once
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "compiler/sema/evaluator.h"
#include "compiler/sema/model.h"

namespace lumen::sema {

// A binding's source that this file does not have: the next alternative is tried. Never leaves the binding.
struct Absent {
  std::string name;
};

class Instance {
 public:
  Instance(const Library& lib, const ast::ModelDecl& model, const ModelSource& source);
  Result<ModelInstance> make();

 private:
  struct Slot {  // a weight for one tuple of indices
    bool absent = false;
    int param = -1;  // value id, once used
    const Slot* alias = nullptr;
    Weight weight;
    Span span;
  };
  struct WeightFamily {
    Family family;
    std::map<std::vector<int64_t>, Slot> slots;
  };
  struct StateFamily {
    Family family;
    std::map<std::vector<int64_t>, std::pair<ir::Type, StateCell>> cells;
  };
  struct Made {  // a weight expression with the type of its result
    WeightExpr expr;
    ir::Type type;
    const Slot* alias = nullptr;
  };

  // config.cpp
  void configure();
  StaticValue config_value(const ast::Binding& b);
  StaticValue config_typed(const ast::Binding& b, StaticValue v);

  // weights.cpp
  void bind_weights();
  void for_each_index(const std::vector<ast::Binder>& over, size_t at, std::vector<int64_t>& tuple, Scope& s,
                      const std::function<void(const std::vector<int64_t>&, Scope&)>& body);
  Slot bind_weight(const ast::Binding& b, const std::string& param, Scope& s);
  Made weight_expr(const ast::Expr& e, Scope& s, bool sourced);
  Made weight_call(const ast::Expr& e, Scope& s, bool sourced);
  Made weight_concat(const ast::Expr& e, Scope& s, bool sourced);
  Made weight_reshape(const ast::Expr& e, Made of, Scope& s);
  Made weight_arith(const ast::Expr& e, Scope& s, bool sourced);
  Made file_tensor(const std::string& name);
  void check_weight(const ast::Binding& b, const std::string& param, Made& made, Scope& s);
  std::string interpolate(const std::string& text, Span span, Scope& s);

  // instance.cpp
  void bind_states();
  void bind_inputs();
  void run_forward();
  void declare(const std::string& name, Span span, const Family& family);
  Val use_weight(Slot& slot);
  Slot* slot(WeightFamily& w, const std::vector<int64_t>& at, Span span);

  const Library& lib_;
  const ast::ModelDecl& model_;
  const ModelSource& source_;
  ModelInstance out_;
  Evaluator ev_;
  Scope& scope_;
  std::deque<WeightFamily> weights_;
  std::deque<StateFamily> states_;
  std::deque<Family> inputs_;
  std::vector<Diag> errors_;
};

}  // namespace lumen::sema
