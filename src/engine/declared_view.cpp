// The declaration is instantiated twice: by the file itself, which gives every weight, and by a source that answers to any name of the
// other kind with the weight just asked for, which gives the names and what is done to their tensors.
#include "engine/declared_view.h"

#include <cmath>
#include <cstring>
#include <deque>
#include <map>

#include "checkpoint/gguf_reader.h"
#include "compiler/formats/row_decoder.h"
#include "compiler/sema/model.h"
#include "compiler/sema/value.h"
#include "engine/checkpoint_source.h"
#include "engine/gguf_source.h"
#include "engine/field_tensors.h"
#include "engine/rope_order.h"

namespace lumen::engine {
namespace {

using sema::StaticValue;
using sema::WeightExpr;

// Configuration keys written as they are, by entry: gguf "key", nothing around it.
std::map<std::string, std::string> bare_keys(const ast::ModelDecl& decl, const std::string& kind) {
  std::map<std::string, std::string> keys;
  for (const ast::Binding& b : decl.config)
    for (const ast::Alternative& a : b.alternatives)
      if (a.source == kind && a.value->kind == ast::ExprKind::String && !keys.count(b.name)) keys[b.name] = a.value->text;
  return keys;
}

// True where a file had better not say it: the declaration takes this value where the key is missing, and it means that there is nothing
// (0, false, "none"), or its key lies in an object that would not be there without it.
bool goes_without_saying(const ast::Binding& b, const std::string& key, const StaticValue& value) {
  const ast::Alternative& last = b.alternatives.back();
  if (!last.source.empty()) return false;
  const ast::Expr& e = *last.value;
  bool nested = key.find('.') != key.npos;
  if (auto* i = std::get_if<int64_t>(&value)) return e.kind == ast::ExprKind::Int && e.ival == *i && (nested || *i == 0);
  if (auto* d = std::get_if<double>(&value)) return e.kind == ast::ExprKind::Float && e.fval == *d && (nested || *d == 0);
  if (auto* y = std::get_if<bool>(&value)) return e.kind == ast::ExprKind::Bool && (e.ival != 0) == *y && (nested || !*y);
  if (auto* s = std::get_if<std::string>(&value)) return e.kind == ast::ExprKind::String && e.text == *s && (nested || *s == "none");
  return false;
}

class Answering : public sema::ModelSource {
 public:
  Answering(const sema::ModelInstance& model, const ast::ModelDecl& decl, std::string kind, std::string path)
      : model_(model), keys_(bare_keys(decl, kind)), kind_(std::move(kind)), path_(std::move(path)) {
    for (const sema::Weight& w : model.weights) weights_[w.param] = &w;
  }
  std::string kind() const override { return kind_; }
  std::string path() const override { return path_; }
  void next_binding(const std::string& name) const override { now_ = name; }
  std::optional<StaticValue> config(const std::string& key) const override {
    auto bare = keys_.find(now_);
    if (bare == keys_.end() || bare->second != key) return std::nullopt;  // arithmetic around a key is not inverted: its default holds
    auto v = model_.config.find(now_);
    return v == model_.config.end() ? std::nullopt : std::optional<StaticValue>(v->second);
  }
  Result<std::optional<TensorInfo>> tensor(const std::string& name) const override {
    (void)name;
    if (auto v = model_.config.find(now_); v != model_.config.end()) {  // rows_of
      auto* n = std::get_if<int64_t>(&v->second);
      auto* b = std::get_if<bool>(&v->second);  // rows_of(x) < 0 is how a declaration asks whether x is there: yes gives false
      if (b && *b) return std::optional<TensorInfo>();
      return std::optional<TensorInfo>(TensorInfo{{DType::F32, nullptr, {ir::Dim(n ? *n : 1), ir::Dim(1)}}});
    }
    auto w = weights_.find(now_);
    if (w == weights_.end()) return std::optional<TensorInfo>();
    return std::optional<TensorInfo>(TensorInfo{w->second->type});
  }
  const std::map<std::string, std::string>& keys() const { return keys_; }

 private:
  const sema::ModelInstance& model_;
  std::map<std::string, std::string> keys_;
  std::map<std::string, const sema::Weight*> weights_;
  std::string kind_, path_;
  mutable std::string now_;
};

template <class T>
std::string packed(T v) {
  return {reinterpret_cast<const char*>(&v), sizeof v};
}

// Rows of a weight in the storage of its type; `owned` holds what was computed rather than mapped.
struct Rows {
  ir::Type type;
  std::vector<const uint8_t*> row;
  std::vector<std::shared_ptr<Buffer>> owned;
  int64_t length() const { return type.dims.back().value; }
  int64_t bytes() const { return type.format ? ir::row_bytes(*type.format, length()) : length() * size_of(type.scalar); }
};

struct ViewParts {
  std::shared_ptr<const Checkpoint> file;
  std::deque<std::string> strings;
  std::vector<std::shared_ptr<Buffer>> buffers;
};

class View {
 public:
  View(const sema::Library& lib, std::shared_ptr<const Checkpoint> file) : lib_(lib), file_(*file), team_(1) { kept_->file = std::move(file); }

  Result<Checkpoint> gguf(const std::vector<GgufKey>& more) {
    LUMEN_CHECK(instantiate("gguf"));
    add_text("general.architecture", arch_);
    add_text("general.name", file_.path().substr(file_.path().find_last_of('/') + 1));
    for (const auto& [name, key] : keys_)
      if (auto v = own_.config.find(name); v != own_.config.end()) LUMEN_CHECK(add_value(key, v->second));
    for (const GgufKey& k : more) std::visit([&](const auto& v) { add(k.key, v); }, k.value);
    LUMEN_CHECK(add_tensors());
    return Checkpoint(std::move(c_));
  }

  Result<HfView> hf() {
    LUMEN_CHECK(instantiate("hf"));
    std::vector<std::pair<std::string, StaticValue>> config = {{"architectures", std::vector<std::string>{arch_}}};
    for (const ast::Binding& b : decl_->config) {
      auto key = keys_.find(b.name);
      auto v = own_.config.find(b.name);
      if (key == keys_.end() || v == own_.config.end() || goes_without_saying(b, key->second, v->second)) continue;
      config.emplace_back(key->second, v->second);
    }
    LUMEN_CHECK(add_tensors());
    return HfView{Checkpoint(std::move(c_)), std::move(config)};
  }

 private:
  Status instantiate(const std::string& kind) {
    LUMEN_TRY(decl, find_model(lib_, file_));
    decl_ = decl;
    for (const ast::Alternative& a : decl->arch)
      if (a.source == kind && arch_.empty()) arch_ = a.value->text;
    if (arch_.empty()) return Error{file_.path() + ": the model '" + decl->name + "' declares no " + kind + " architecture"};
    LUMEN_TRY(own, sema::instantiate(lib_, *decl, CheckpointSource(lib_, file_)));
    own_ = std::move(own);
    Answering answering(own_, *decl, kind, file_.path());
    LUMEN_TRY(theirs, sema::instantiate(lib_, *decl, answering));
    theirs_ = std::move(theirs);
    LUMEN_CHECK(check_config(kind));
    keys_ = answering.keys();
    kind_ = kind;
    c_.path = file_.path();
    c_.container = "gguf";
    c_.version = 3;
    c_.storage = kept_;
    return ok_status();
  }

  // What the other kind has no key for reverts to what the declaration takes without one. Where that makes no other forward pass, it may.
  Status check_config(const std::string& kind) const {
    std::string lost;
    for (const auto& [name, value] : own_.config)
      if (auto there = theirs_.config.find(name); there != theirs_.config.end() && there->second != value)
        lost += (lost.empty() ? "" : ", ") + name + " (" + sema::to_text(value) + " here, " + sema::to_text(there->second) + " there)";
    if (lost.empty() || ir::print(own_.forward) == ir::print(theirs_.forward)) return ok_status();
    return Error{file_.path() + ": the declaration of '" + decl_->name + "' has no " + kind + " key to say this: " + lost +
                 "; expected settings that it can say"};
  }

  Status add_tensors() {
    std::map<std::string, const sema::Weight*> weights;
    for (const sema::Weight& w : own_.weights) weights[w.param] = &w;
    for (const sema::Weight& w : theirs_.weights) {
      auto from = weights.find(w.param);
      if (from == weights.end()) return Error{file_.path() + ": the weight " + w.param + " comes from nothing"};
      const ir::Type& type = from->second->type;
      LUMEN_TRY(rows, evaluate(from->second->from, type.dims));
      if (!type.format && type.scalar == DType::F32) LUMEN_CHECK(decode(rows));
      rows.type.dims = type.dims;
      LUMEN_CHECK(add_tensor(w, std::move(rows)));
      weights.erase(from);
    }
    if (!weights.empty())
      return Error{file_.path() + ": the declaration of '" + decl_->name + "' has no " + kind_ + " name for the weight " + weights.begin()->first};
    return ok_status();
  }

  // What the file's own alternatives do: a tensor, rows in another order, a number added or multiplied, or other dimensions: `dims`, the weight's;
  // none where another reshape stands around it.
  Result<Rows> evaluate(const WeightExpr& e, const std::vector<ir::Dim>& dims) {
    if (e.kind == WeightExpr::Tensor) {
      const CheckpointTensor* t = file_.find_tensor(e.name);
      if (!t) return Error{file_.path() + ": no tensor " + e.name};
      LUMEN_TRY(type, tensor_type(lib_, file_, *t));
      if (!type.format && !is_float(type.scalar)) return Error{file_.path() + ": tensor " + e.name + ": expected floats"};
      Rows r{type, {}, {}};
      std::shared_ptr<Buffer> together;
      LUMEN_TRY(first, whole_rows(type, file_, *t, team_, together));
      if (together) r.owned.push_back(std::move(together));
      int64_t n = 1;
      for (int i = 0; i + 1 < type.rank(); ++i) n *= type.dims[static_cast<size_t>(i)].value;
      for (int64_t i = 0; i < n; ++i) r.row.push_back(first + i * r.bytes());
      return r;
    }
    bool reshapes = e.kind == WeightExpr::Reshape;
    if (e.kind == WeightExpr::Rows || e.kind == WeightExpr::Concat || (reshapes && dims.empty()))
      return Error{file_.path() + ": what the declaration does to its tensors is not written as " + kind_ + " here"};
    LUMEN_TRY(r, evaluate(e.args[0], reshapes ? std::vector<ir::Dim>() : dims));
    if (reshapes) LUMEN_CHECK(reshape(dims, r));
    if (e.kind == WeightExpr::RopeRows) LUMEN_CHECK(reorder(e, r, false));
    if (e.kind == WeightExpr::AddConst || e.kind == WeightExpr::MulConst) LUMEN_CHECK(compute(e, r, false));
    return r;
  }

  // The same elements in rows of another length.
  static Status reshape(const std::vector<ir::Dim>& dims, Rows& r) {
    LUMEN_CHECK(gather(r));
    const uint8_t* first = r.row[0];
    r.row.clear();
    r.type.dims = dims;
    int64_t n = 1;
    for (size_t i = 0; i + 1 < dims.size(); ++i) n *= dims[i].value;
    for (int64_t i = 0; i < n; ++i) r.row.push_back(first + i * r.bytes());
    return ok_status();
  }

  // Rows behind each other in memory.
  static Status gather(Rows& r) {
    int64_t bytes = r.bytes(), n = static_cast<int64_t>(r.row.size());
    bool together = true;
    for (int64_t i = 1; i < n && together; ++i) together = r.row[static_cast<size_t>(i)] == r.row[0] + i * bytes;
    if (together) return ok_status();
    LUMEN_TRY(buffer, Buffer::allocate(static_cast<size_t>(n * bytes)));
    auto own = std::make_shared<Buffer>(std::move(buffer));
    for (int64_t i = 0; i < n; ++i) {
      uint8_t* to = own->data() + i * bytes;
      std::memcpy(to, r.row[static_cast<size_t>(i)], static_cast<size_t>(bytes));
      r.row[static_cast<size_t>(i)] = to;
    }
    r.owned = {std::move(own)};
    return ok_status();
  }

  // rope_rows of rows, or of a list's elements; or what it was made of.
  static Status reorder(const WeightExpr& e, Rows& r, bool undo) {
    if (r.type.rank() == 1) {
      LUMEN_CHECK(decode(r));
      std::vector<int64_t> order = rope_order(e, r.length());
      auto x = r.owned.back()->as<float>();
      std::vector<float> from(x.begin(), x.begin() + r.length());
      for (size_t i = 0; i < order.size(); ++i) undo ? x[static_cast<size_t>(order[i])] = from[i] : x[i] = from[static_cast<size_t>(order[i])];
      return ok_status();
    }
    std::vector<const uint8_t*> from = r.row;
    std::vector<int64_t> order = rope_order(e, static_cast<int64_t>(from.size()));
    for (size_t i = 0; i < order.size(); ++i) undo ? r.row[static_cast<size_t>(order[i])] = from[i] : r.row[i] = from[static_cast<size_t>(order[i])];
    return ok_status();
  }

  static Status compute(const WeightExpr& e, Rows& r, bool undo) {
    LUMEN_CHECK(decode(r));
    float c = static_cast<float>(e.value);
    for (float& x : r.owned.back()->as<float>())
      if (e.kind == WeightExpr::AddConst) x = undo ? x - c : x + c;
      else x = undo ? x / c : x * c;
    return ok_status();
  }

  // To f32, in memory of its own.
  static Status decode(Rows& r) {
    int64_t k = r.length(), n = static_cast<int64_t>(r.row.size());
    LUMEN_TRY(buffer, Buffer::allocate(static_cast<size_t>(n * k * 4)));
    auto own = std::make_shared<Buffer>(std::move(buffer));
    formats::RowDecoder decoder(r.type);
    for (int64_t i = 0; i < n; ++i) {
      float* to = own->as<float>().data() + i * k;
      decoder.decode(r.row[static_cast<size_t>(i)], k, to);
      r.row[static_cast<size_t>(i)] = reinterpret_cast<const uint8_t*>(to);
    }
    r.type.format = nullptr;
    r.type.scalar = DType::F32;
    r.owned.push_back(std::move(own));
    return ok_status();
  }

  MetaValue& entry(const std::string& key, std::string bytes) {
    kept_->strings.push_back(key);
    std::string_view name = kept_->strings.back();
    kept_->strings.push_back(std::move(bytes));
    c_.metadata.push_back({name, {}});
    MetaValue& v = c_.metadata.back().value;
    v.data = reinterpret_cast<const uint8_t*>(kept_->strings.back().data());
    v.size = kept_->strings.back().size();
    v.count = 1;
    return v;
  }
  void add(const std::string& key, const std::string& text) { add_text(key, text); }
  void add(const std::string& key, uint32_t v) { entry(key, packed(v)).type = MetaType::U32; }
  void add(const std::string& key, bool v) { entry(key, packed(static_cast<uint8_t>(v))).type = MetaType::Bool; }
  template <class T>
  void add(const std::string& key, const std::vector<T>& list) {
    std::string bytes;
    for (const T& v : list) {
      if constexpr (std::is_same_v<T, std::string_view> || std::is_same_v<T, std::string>) bytes += packed(static_cast<uint64_t>(v.size())) + std::string(v);
      else bytes += packed(v);
    }
    MetaValue& v = entry(key, std::move(bytes));
    v.type = MetaType::Array;
    v.element = std::is_same_v<T, float> ? MetaType::F32 : std::is_same_v<T, int32_t> ? MetaType::I32 : MetaType::String;
    v.count = list.size();
  }
  void add_text(const std::string& key, const std::string& text) {
    MetaValue& v = entry(key, text);
    v.type = MetaType::String;
    v.count = text.size();
  }
  // As converters write them: u32, f32.
  Status add_value(const std::string& key, const StaticValue& value) {
    for (const MetaEntry& e : c_.metadata)
      if (e.key == key) return ok_status();
    if (auto* i = std::get_if<int64_t>(&value)) {
      if (*i < 0 || *i > UINT32_MAX) return Error{file_.path() + ": " + key + " is " + std::to_string(*i) + ": expected a number of 32 bits"};
      entry(key, packed(static_cast<uint32_t>(*i))).type = MetaType::U32;
    } else if (auto* d = std::get_if<double>(&value)) {
      entry(key, packed(static_cast<float>(*d))).type = MetaType::F32;
    } else if (auto* b = std::get_if<bool>(&value)) {
      entry(key, packed(static_cast<uint8_t>(*b))).type = MetaType::Bool;
    } else if (auto* s = std::get_if<std::string>(&value)) {
      add_text(key, *s);
    }
    return ok_status();
  }

  // The view has no tensors beside a weight: a number that stands for a format with fields there would be read without them.
  Result<uint32_t> type_id(const ir::Type& t) {
    std::string name = t.format ? t.format->name : std::string(lumen::name(t.scalar));
    const ast::FormatDecl* decl = t.format && has_field_tensors(*t.format) ? nullptr : lib_.format_decl(name);
    if (decl && decl->gguf && decl->gguf->kind == ast::ExprKind::Int) return static_cast<uint32_t>(decl->gguf->ival);
    if (!t.format) return Error{file_.path() + ": no .lum file declares the GGUF type of " + name};
    auto [it, fresh] = private_.emplace(name, kFirstPrivateType + static_cast<uint32_t>(private_.size()));
    if (fresh) {
      add_text(private_name_key(it->second), name);
      add_text(private_source_key(it->second), t.format->source);
    }
    return it->second;
  }

  // Undoes what the declaration does to the tensor, outermost first.
  Status add_tensor(const sema::Weight& w, Rows rows) {
    const WeightExpr* e = &w.from;
    for (; e->kind != WeightExpr::Tensor; e = &e->args[0]) {
      if (e->kind == WeightExpr::RopeRows) {
        LUMEN_CHECK(reorder(*e, rows, true));
      } else if (!rows.type.format && (e->kind == WeightExpr::AddConst || e->kind == WeightExpr::MulConst)) {
        LUMEN_CHECK(compute(*e, rows, true));
      } else if (e->kind != WeightExpr::Reshape) {
        return Error{file_.path() + ": weight " + w.param + ": what the declaration does to the " + kind_ + " tensor is not undone here"};
      }
    }
    CheckpointTensor t;
    kept_->strings.push_back(e->name);
    t.name = kept_->strings.back();
    for (const ir::Dim& d : rows.type.dims) t.dims.push_back(d.value);
    LUMEN_TRY(id, type_id(rows.type));
    t.type_id = id;
    t.bytes = t.room = static_cast<uint64_t>(static_cast<int64_t>(rows.row.size()) * rows.bytes());
    LUMEN_CHECK(gather(rows));
    t.data = rows.row[0];
    kept_->buffers.insert(kept_->buffers.end(), rows.owned.begin(), rows.owned.end());
    c_.tensors.push_back(std::move(t));
    return ok_status();
  }

  const sema::Library& lib_;
  const Checkpoint& file_;
  ThreadTeam team_;
  std::shared_ptr<ViewParts> kept_ = std::make_shared<ViewParts>();
  std::map<std::string, uint32_t> private_;
  Checkpoint::Contents c_;
  const ast::ModelDecl* decl_ = nullptr;
  std::string arch_, kind_;
  sema::ModelInstance own_, theirs_;  // by the file itself; by the names of the other kind
  std::map<std::string, std::string> keys_;
};

}  // namespace

Result<Checkpoint> gguf_view(const sema::Library& lib, std::shared_ptr<const Checkpoint> file, const std::vector<GgufKey>& more) {
  return View(lib, std::move(file)).gguf(more);
}
Result<HfView> hf_view(const sema::Library& lib, std::shared_ptr<const Checkpoint> file) { return View(lib, std::move(file)).hf(); }

}  // namespace lumen::engine
