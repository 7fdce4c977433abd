// The one-line description and a plain printer of block expressions.
#include "compiler/formats/describe.h"

#include <cstdio>

namespace lumen::formats {
namespace {

std::string levels_text(const std::vector<ir::ScaleLevel>& levels) {
  std::string r;
  for (const ir::ScaleLevel& l : levels) {
    if (!r.empty()) r += ", ";
    r += std::string(name(l.stored)) + " / " + std::to_string(l.extent);
    if (l.integer) r += " (" + std::to_string(l.lo) + ".." + std::to_string(l.hi) + ")";
  }
  return r.empty() ? "none" : r;
}

std::string number_text(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", v);
  return text;
}

}  // namespace

std::string describe(const ir::FormatType& f) {
  if (!f.form) return "no integer form: " + f.why_no_form;
  const ir::IntForm& form = *f.form;
  std::string r = "codes: " + std::to_string(form.bits) + " bits, 0.." + std::to_string(form.raw_max);
  if (!form.codebook.empty()) {
    r += ", code book [";
    for (size_t i = 0; i < form.codebook.size(); ++i) r += (i ? " " : "") + std::to_string(form.codebook[i]);
    r += "]";
  }
  if (form.bias != 0 || form.codebook.empty()) r += ", bias " + std::to_string(form.bias);
  return r + "; scale: " + levels_text(form.scale) + "; offset: " + levels_text(form.offset);
}

std::string to_text(const ir::FormatType& f, const ir::ExprPtr& e) {
  using ir::Ek;
  switch (e->kind) {
    case Ek::Int:
      return std::to_string(e->ival);
    case Ek::Float:
      return number_text(e->fval);
    case Ek::Index:
      return e->ival == 0 ? "k" : "i" + std::to_string(e->ival);
    case Ek::Field:
      return f.fields[static_cast<size_t>(e->ival)].name + "[" + to_text(f, e->args[0]) + "]";
    case Ek::Table:
      return "table" + std::to_string(e->table->size()) + "[" + to_text(f, e->args[0]) + "]";
    default:
      break;
  }
  std::string head = e->kind == Ek::Op ? std::string(ir::name(e->op)) : e->kind == Ek::Bitcast ? "bits_" : "";
  if (e->kind != Ek::Op) head += std::string(name(e->type));
  std::string r = head + "(";
  for (size_t i = 0; i < e->args.size(); ++i) r += (i ? ", " : "") + to_text(f, e->args[i]);
  return r + ")";
}

}  // namespace lumen::formats
