// Evaluates weight expressions and lays weights out.
#include "engine/weights.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "compiler/ir/interp.h"
#include "engine/checkpoint_source.h"
#include "engine/field_tensors.h"
#include "engine/quantize_at_load.h"
#include "engine/rope_order.h"

namespace lumen::engine {

// Rows that had to be put together (fields out of several tensors, a sum) are kept from this many bytes on; less is made in no time.
constexpr int64_t kKeptRows = int64_t{1} << 20;

// What tells two layouts of one weight apart.
static std::string layout_key(const std::string& param, const std::optional<formats::PackedLayout>& l) {
  if (!l) return param;
  return param + "|" + std::to_string(l->rows) + "x" + std::to_string(l->groups) + (l->integer ? "i" : std::string(name(l->element)));
}

static std::string text_of(const sema::WeightExpr& e) {
  std::string s = std::to_string(e.kind) + e.name;
  for (int64_t v : {e.heads, e.rotated, e.lo, e.hi}) s += "," + std::to_string(v);
  s += "," + std::to_string(e.value) + "(";
  for (const sema::WeightExpr& a : e.args) s += text_of(a) + ";";
  return s + ")";
}

// Everything the bytes depend on but for the file: where the weight comes from, its format's declaration, the layout (none: its rows).
static std::string cache_key(const sema::Weight& w, const std::optional<formats::PackedLayout>& layout) {
  std::string s = w.param + "\n" + text_of(w.from) + "\n" + ir::to_string(w.type) + "\n" + (w.type.format ? w.type.format->source : "") + "\n";
  if (!layout) return s + "rows";
  const formats::PackedLayout& l = *layout;
  for (int64_t v : {int64_t{l.integer}, int64_t{l.rows}, int64_t{l.chunk}, l.chunk_bytes, l.k, l.n, l.groups, l.codes, int64_t{l.unit_bytes}, int64_t{static_cast<int>(l.element)}})
    s += std::to_string(v) + ",";
  for (const auto* levels : {&l.scale, &l.offset})
    for (const formats::PackedLevel& p : *levels)
      s += std::to_string(p.offset) + ":" + std::string(name(p.stored)) + ":" + std::to_string(p.extent) + (p.pairs ? "p" : "") + ",";
  for (int p : l.planes) s += " " + std::to_string(p);
  return s;
}

WeightStore::WeightStore(const sema::Library& lib, const Checkpoint& file, Target& target, int threads, std::unique_ptr<PackedCache> cache,
                         std::function<void(int64_t, int64_t)> keeping)
    : lib_(lib), file_(file), target_(target), team_(threads), cache_(std::move(cache)), keeping_(std::move(keeping)) {}

void WeightStore::know(const sema::ModelInstance& model) {
  for (const sema::Weight& w : model.weights) weights_[w.param] = &w;
}

WeightStore::~WeightStore() {
  using namespace std::chrono_literals;
  for (; keeping_ && saver_.joinable() && saved_ < to_save_; std::this_thread::sleep_for(20ms)) keeping_(saved_, to_save_);
  if (keeping_ && to_save_ > 0) keeping_(to_save_, to_save_);
  if (saver_.joinable()) saver_.join();
}

static int64_t row_length(const ir::Type& t) { return t.dims.back().value; }
static int64_t row_count(const ir::Type& t) {
  int64_t n = 1;
  for (int i = 0; i + 1 < t.rank(); ++i) n *= t.dims[i].value;
  return n;
}
static int64_t bytes_per_row(const ir::Type& t) {
  return t.format ? ir::row_bytes(*t.format, row_length(t)) : row_length(t) * size_of(t.scalar);
}

Result<WeightStore::Rows> WeightStore::tensor(const std::string& name) {
  const CheckpointTensor* t = file_.find_tensor(name);
  if (!t) return Error{file_.path() + ": no tensor " + name};
  LUMEN_TRY(data, file_.data(*t));
  LUMEN_TRY(type, tensor_type(lib_, file_, *t));
  Rows r{type, {}, {}};
  int64_t n = row_count(type), bytes = bytes_per_row(type);
  r.row.resize(n);
  const uint8_t* first = data.data;
  if (type.format && has_field_tensors(*type.format)) {
    LUMEN_TRY(blocks, assemble_blocks(*type.format, file_, *t, team_));
    first = blocks->data();
    r.owned.push_back(std::move(blocks));
    for (const ir::FormatField& f : type.format->fields)
      if (const CheckpointTensor* field = f.beside.empty() ? t : file_.find_tensor(tensor_beside(name, f.beside))) file_.release(*field);
  }
  for (int64_t i = 0; i < n; ++i) r.row[i] = first + i * bytes;
  return r;
}

// Decoded to f32, whatever it was.
Result<WeightStore::Rows> WeightStore::to_floats(Rows r) {
  if (!r.type.format && r.type.scalar == DType::F32) return r;
  int64_t n = row_count(r.type), k = row_length(r.type);
  LUMEN_TRY(buffer, Buffer::allocate(static_cast<size_t>(n) * k * 4));
  auto own = std::make_shared<Buffer>(std::move(buffer));
  float* out = own->as<float>().data();
  DType from = r.type.scalar;
  if (!r.type.format && from != DType::F16 && from != DType::BF16) return Error{file_.path() + ": cannot read weights of type " + std::string(name(from)) + " as f32"};
  team_.run(n, 64, [&](int, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      if (r.type.format) {
        ir::decode_row(*r.type.format, r.row[i], k, out + i * k);
        continue;
      }
      for (int64_t j = 0; j < k; ++j) {
        uint16_t h;
        std::memcpy(&h, r.row[i] + 2 * j, 2);
        out[i * k + j] = from == DType::F16 ? half_to_float(h) : bfloat_to_float(h);
      }
    }
  });
  for (int64_t i = 0; i < n; ++i) r.row[i] = reinterpret_cast<const uint8_t*>(out + i * k);
  r.type.format = nullptr;
  r.type.scalar = DType::F32;
  r.owned.push_back(own);
  return r;
}

Result<WeightStore::Rows> WeightStore::evaluate(const sema::WeightExpr& e) {
  if (e.kind == sema::WeightExpr::Tensor) return tensor(e.name);
  if (e.kind == sema::WeightExpr::Concat) {
    Rows all;
    for (const sema::WeightExpr& a : e.args) {
      LUMEN_TRY(part, evaluate(a));
      if (all.row.empty()) all = std::move(part);
      else {
        all.row.insert(all.row.end(), part.row.begin(), part.row.end());
        all.owned.insert(all.owned.end(), part.owned.begin(), part.owned.end());
        all.type.dims[0].value += part.type.dims[0].value;
      }
    }
    return all;
  }
  LUMEN_TRY(r, evaluate(e.args[0]));
  switch (e.kind) {
    case sema::WeightExpr::RopeRows: {
      if (r.type.rank() == 1) {  // a bias: its elements are what the rows are elsewhere
        LUMEN_TRY(f, to_floats(std::move(r)));
        int64_t k = row_length(f.type);
        LUMEN_TRY(buffer, Buffer::allocate(static_cast<size_t>(k) * 4));
        auto own = std::make_shared<Buffer>(std::move(buffer));
        float* out = own->as<float>().data();
        const float* in = reinterpret_cast<const float*>(f.row[0]);
        std::vector<int64_t> order = rope_order(e, k);
        for (int64_t i = 0; i < k; ++i) out[i] = in[order[i]];
        f.row[0] = reinterpret_cast<const uint8_t*>(out);
        f.owned.push_back(own);
        return f;
      }
      std::vector<const uint8_t*> out;
      for (int64_t from : rope_order(e, static_cast<int64_t>(r.row.size()))) out.push_back(r.row[from]);
      r.row = std::move(out);
      return r;
    }
    case sema::WeightExpr::Rows:
      r.row = {r.row.begin() + e.lo, r.row.begin() + e.hi};
      r.type.dims[0] = ir::Dim(e.hi - e.lo);
      return r;
    case sema::WeightExpr::Reshape: return r;
    case sema::WeightExpr::AddConst:
    case sema::WeightExpr::MulConst: {
      LUMEN_TRY(f, to_floats(std::move(r)));
      int64_t k = row_length(f.type);
      LUMEN_TRY(buffer, Buffer::allocate(f.row.size() * k * 4));
      auto own = std::make_shared<Buffer>(std::move(buffer));
      float* out = own->as<float>().data();
      for (size_t i = 0; i < f.row.size(); ++i) {
        const float* in = reinterpret_cast<const float*>(f.row[i]);
        for (int64_t j = 0; j < k; ++j)
          out[i * k + j] = e.kind == sema::WeightExpr::AddConst ? in[j] + static_cast<float>(e.value) : in[j] * static_cast<float>(e.value);
        f.row[i] = reinterpret_cast<const uint8_t*>(out + i * k);
      }
      f.owned.push_back(own);
      return f;
    }
    default: return Error{"weight expression of an unknown kind"};
  }
}

// The weight with the type the IR gives it.
Result<WeightStore::Rows> WeightStore::declared(const sema::Weight& w) {
  LUMEN_TRY(r, evaluate(w.from));
  if (!w.type.format && w.type.scalar == DType::F32 && (r.type.format || r.type.scalar != DType::F32)) {
    LUMEN_TRY(f, to_floats(std::move(r)));
    r = std::move(f);
  }
  if (w.type.format && !r.type.format) {  // quantised at load
    LUMEN_TRY(blocks, encode_rows(w.type.format, r.type.scalar, r.row, row_length(r.type), team_));
    r.type.format = w.type.format;
    for (size_t i = 0; i < r.row.size(); ++i) r.row[i] = blocks->data() + static_cast<int64_t>(i) * bytes_per_row(r.type);
    r.owned.push_back(std::move(blocks));
  }
  // Another split of the same elements into rows (a reshape) moves the row pointers, if the rows follow each other.
  int64_t want = row_count(w.type), bytes = bytes_per_row(w.type);
  if (static_cast<int64_t>(r.row.size()) != want) {
    int64_t old = bytes_per_row(r.type);
    for (size_t i = 1; i < r.row.size(); ++i)
      if (r.row[i] != r.row[0] + static_cast<int64_t>(i) * old) return Error{file_.path() + ": weight " + w.param + " cannot be reshaped: its rows were permuted"};
    const uint8_t* first = r.row[0];
    r.row.resize(want);
    for (int64_t i = 0; i < want; ++i) r.row[i] = first + i * bytes;
  }
  r.type = w.type;
  return r;
}

static int64_t stored_bytes(const sema::Weight& w, const std::optional<formats::PackedLayout>& layout) {
  return layout ? layout->bytes() : row_count(w.type) * bytes_per_row(w.type);
}

// Lets go of the file's pages that a weight was made of.
void WeightStore::release(const sema::WeightExpr& e) {
  if (e.kind == sema::WeightExpr::Tensor)
    if (const CheckpointTensor* t = file_.find_tensor(e.name)) file_.release(*t);
  for (const sema::WeightExpr& a : e.args) release(a);
}

void WeightStore::remember(const sema::Weight& w, const std::optional<formats::PackedLayout>& layout, BufferArg made) {
  if (!cache_) return;
  packed_[cache_key(w, layout)] = {made, stored_bytes(w, layout)};
  unsaved_ = true;
}

// `bytes` in a slab, 256 more readable behind them.
Result<BufferArg> WeightStore::place(int64_t bytes) {
  constexpr int64_t kSlab = int64_t{32} << 20;
  int64_t need = (bytes + 256 + 255) / 256 * 256;
  if (!slab_ || slab_used_ + need > slab_->size()) {
    LUMEN_TRY(slab, target_.allocate_dense(std::max(need, kSlab)));
    slab_ = slab.get();
    slab_used_ = 0;
    buffers_.push_back(std::move(slab));
  }
  BufferArg at{slab_, slab_used_};
  slab_used_ += need;
  return at;
}

// A piece of groups at a time, letting go of the file's pages behind it: what is resident of the file stays small.
Status WeightStore::pack(const Rows& r, const formats::PackedLayout& layout, BufferArg to) {
  constexpr int64_t kPiece = int64_t{16} << 20;
  Buffer staging;
  uint8_t* out = to.buffer->host();
  if (out) {
    out += to.offset;
  } else {
    LUMEN_TRY(s, Buffer::allocate(static_cast<size_t>(layout.bytes())));
    staging = std::move(s);
    out = staging.data();
  }
  int64_t piece = std::max<int64_t>(kPiece / layout.group_bytes(), 1), bytes = bytes_per_row(r.type), n = static_cast<int64_t>(r.row.size());
  for (int64_t at = 0; at < layout.groups; at += piece) {
    int64_t upto = std::min(at + piece, layout.groups);
    team_.run(upto - at, 4, [&](int, int64_t begin, int64_t end) {
      formats::pack(r.type, layout, [&](int64_t i) { return r.row[i]; }, at + begin, at + end, out);
    });
    auto first = r.row.begin() + std::min(at * layout.rows, n), last = r.row.begin() + std::min(upto * layout.rows, n);
    if (first == last) continue;
    auto [lowest, highest] = std::minmax_element(first, last);
    file_.release(*lowest, *highest + bytes);
  }
  return to.buffer->host() ? ok_status() : target_.upload(*to.buffer, to.offset, staging.bytes());
}

Result<BufferArg> WeightStore::make(const sema::Weight& w, const std::optional<formats::PackedLayout>& layout) {
  LUMEN_TRY(r, declared(w));
  BufferArg made;
  if (layout) {
    LUMEN_TRY(at, place(layout->bytes()));
    made = at;
    LUMEN_CHECK(pack(r, *layout, made));
    packed_bytes_ += layout->bytes();
    release(w.from);
    remember(w, layout, made);
  } else {
    int64_t n = static_cast<int64_t>(r.row.size()), bytes = bytes_per_row(r.type);
    bool together = r.owned.empty();
    for (int64_t i = 1; i < n && together; ++i) together = r.row[i] == r.row[0] + i * bytes;
    if (together)
      if (auto mapped = target_.wrap(r.row[0], n * bytes)) buffers_.push_back(mapped.take());
      else together = false;
    if (!together) {
      LUMEN_TRY(buffer, target_.allocate(n * bytes + 256));
      for (int64_t i = 0; i < n; ++i) LUMEN_CHECK(target_.upload(*buffer, i * bytes, {r.row[i], static_cast<size_t>(bytes)}));
      buffers_.push_back(std::move(buffer));
    }
    made = {buffers_.back().get(), 0};
    if (!together && n * bytes >= kKeptRows) remember(w, layout, made);
  }
  made_[layout_key(w.param, layout)] = made;
  return made;
}

bool WeightStore::take_packed(const std::string& made_as, const std::string& key, const uint8_t* data, int64_t bytes, bool rows) {
  auto mapped = target_.wrap(data, bytes);
  if (!mapped) return false;
  buffers_.push_back(mapped.take());
  made_[made_as] = {buffers_.back().get(), 0};
  packed_[key] = {made_[made_as], bytes};
  if (!rows) packed_bytes_ += bytes;
  return true;
}

void WeightStore::take_cached(const plan::Plan& plan) {
  cache_->check();
  for (const plan::WeightUse& u : plan.weights) {
    const std::string& param = plan.function.values[u.param].name;
    auto w = weights_.find(param);
    if (w == weights_.end() || made_.count(layout_key(param, u.layout))) continue;
    int64_t bytes = stored_bytes(*w->second, u.layout);
    if (!u.layout && bytes < kKeptRows) continue;
    std::string key = cache_key(*w->second, u.layout);
    const uint8_t* data = cache_->find(key, static_cast<uint64_t>(bytes));
    if (data && !take_packed(layout_key(param, u.layout), key, data, bytes, !u.layout)) return;
  }
}

std::optional<std::vector<KeptWeight>> WeightStore::keep(const plan::Plan& plan) const {
  constexpr int64_t kMostOwn = int64_t{16} << 20;  // bytes of computed weights, all together: biases, scaled norms
  std::vector<KeptWeight> out;
  std::vector<uint64_t> sizes;
  for (const auto& [key, at] : packed_) sizes.push_back(static_cast<uint64_t>(at.second));
  if (!cache_ || !cache_->fits(sizes)) return std::nullopt;
  std::map<const uint8_t*, std::pair<const CheckpointTensor*, int64_t>> mapped;  // by first byte: tensors, their bytes
  for (const CheckpointTensor& t : file_.tensors())
    if (auto all = file_.data(t)) mapped[all->data] = {&t, static_cast<int64_t>(all->size)};
  int64_t own = 0;
  for (const plan::WeightUse& u : plan.weights) {
    const std::string& param = plan.function.values[u.param].name;
    const sema::Weight& w = *weights_.at(param);
    KeptWeight k;
    k.made_as = layout_key(param, u.layout);
    k.bytes = stored_bytes(w, u.layout);
    if (std::string key = cache_key(w, u.layout); packed_.count(key)) {
      k.from = u.layout ? KeptWeight::Packed : KeptWeight::Rows;
      k.key = std::move(key);
      out.push_back(std::move(k));
      continue;
    }
    const BufferArg& at = made_.at(k.made_as);
    const uint8_t* data = at.buffer->host() ? at.buffer->host() + at.offset : nullptr;
    if (!data) return std::nullopt;
    if (auto after = mapped.upper_bound(data); after != mapped.begin()) {
      auto [first, tensor] = *std::prev(after);
      if (data - first + k.bytes <= tensor.second) {
        k.from = KeptWeight::Mapped;
        k.key = tensor.first->name;
        k.offset = data - first;
      }
    }
    if (k.from == KeptWeight::Own) {
      if ((own += k.bytes) > kMostOwn) return std::nullopt;
      k.data.assign(reinterpret_cast<const char*>(data), static_cast<size_t>(k.bytes));
    }
    out.push_back(std::move(k));
  }
  return out;
}

Result<BufferArg> WeightStore::place_kept(const KeptWeight& w) {
  if (w.from == KeptWeight::Own) {
    LUMEN_TRY(buffer, target_.allocate(w.bytes + 256));
    LUMEN_CHECK(target_.upload(*buffer, 0, {reinterpret_cast<const uint8_t*>(w.data.data()), w.data.size()}));
    buffers_.push_back(std::move(buffer));
    return BufferArg{buffers_.back().get(), 0};
  }
  LUMEN_TRY(all, file_.data(w.key));
  if (w.offset < 0 || w.bytes < 0 || w.offset > static_cast<int64_t>(all.size) || w.bytes > static_cast<int64_t>(all.size) - w.offset)
    return Error{file_.path() + ": tensor " + w.key + " is shorter than it was"};
  LUMEN_TRY(mapped, target_.wrap(all.data + w.offset, w.bytes));
  buffers_.push_back(std::move(mapped));
  return BufferArg{buffers_.back().get(), 0};
}

std::optional<std::vector<BufferArg>> WeightStore::bind_kept(const std::vector<KeptWeight>& weights) {
  if (!cache_) return std::nullopt;
  cache_->check();
  std::vector<BufferArg> out;
  for (const KeptWeight& w : weights) {
    if (!made_.count(w.made_as)) {
      if (w.from == KeptWeight::Packed || w.from == KeptWeight::Rows) {
        const uint8_t* data = cache_->find(w.key, static_cast<uint64_t>(w.bytes));
        if (!data || !take_packed(w.made_as, w.key, data, w.bytes, w.from == KeptWeight::Rows)) return std::nullopt;
      } else {
        auto placed = place_kept(w);
        if (!placed) return std::nullopt;
        made_[w.made_as] = *placed;
      }
    }
    out.push_back(made_.at(w.made_as));
  }
  return out;
}

// Writes everything packed so far to the cache, on a thread of its own.
void WeightStore::save() {
  if (saver_.joinable()) saver_.join();
  unsaved_ = false;
  std::vector<PackedCache::Entry> entries;
  for (const auto& [key, at] : packed_)
    entries.push_back({key, {at.first.buffer->host() + at.first.offset, static_cast<size_t>(at.second)}});
  saved_ = to_save_ = 0;
  for (const PackedCache::Entry& e : entries) to_save_ += static_cast<int64_t>(e.bytes.size());
  saver_ = std::thread([this, entries = std::move(entries)] {
    cache_->write(entries, &saved_);
    saved_ = to_save_;
  });
}

Result<std::vector<BufferArg>> WeightStore::bind(const plan::Plan& plan, const std::function<void(int64_t, int64_t)>& progress) {
  std::vector<BufferArg> out;
  if (cache_) take_cached(plan);
  int64_t total = 0, done = 0;
  for (const plan::WeightUse& u : plan.weights) total += u.layout ? u.layout->bytes() : 0;
  for (const plan::WeightUse& u : plan.weights) {
    const std::string& param = plan.function.values[u.param].name;
    if (auto it = made_.find(layout_key(param, u.layout)); it != made_.end()) {
      out.push_back(it->second);
    } else {
      auto w = weights_.find(param);
      if (w == weights_.end()) return Error{file_.path() + ": the model's weight " + param + " is bound to nothing"};
      LUMEN_TRY(arg, make(*w->second, u.layout));
      out.push_back(arg);
      done += u.layout ? u.layout->bytes() : 0;
      if (progress && u.layout) progress(done, total);
    }
  }
  if (unsaved_) save();
  return out;
}

}  // namespace lumen::engine
