// Text and equality of dimensions and tensor types.
#include "compiler/ir/type.h"

#include "compiler/ir/format.h"

namespace lumen::ir {

std::string to_string(const Dim& d) { return d.is_const() ? std::to_string(d.value) : d.symbol; }

bool operator==(const Type& a, const Type& b) {
  if (a.scalar != b.scalar || a.dims != b.dims || !a.format != !b.format) return false;
  return !a.format || a.format->name == b.format->name;
}

std::string to_string(const Type& t) {
  std::string s(name(t.scalar));
  if (t.format) s = (dtype_named(t.format->name) ? "@" : "") + t.format->name;  // a format may be named as a scalar type is
  s += '[';
  for (int i = 0; i < t.rank(); ++i) s += (i ? ", " : "") + to_string(t.dims[i]);
  return s + ']';
}

}  // namespace lumen::ir
