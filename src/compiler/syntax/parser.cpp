// The cursor, and the rules of declarations. Rules: docs/language.md.
#include "compiler/syntax/parser.h"

#include <algorithm>

#include "compiler/syntax/parser_impl.h"

namespace lumen::syntax {

using namespace ast;

namespace {

constexpr int kMaxDepth = 200;  // nesting of expressions and blocks
constexpr size_t kMaxSource = 64u << 20;

std::string describe(const Token& t) {
  if (t.kind == Tk::End) return "the end of the file";
  if (t.kind == Tk::Newline) return t.text == ";" ? "';'" : "the end of the line";
  if (t.kind == Tk::Name && is_reserved(t.text)) return "the reserved word '" + std::string(t.text) + "'";
  std::string text(t.text.substr(0, 40));
  if (t.kind == Tk::String) return "the string " + text;
  if (static_cast<unsigned char>(text[0]) < 0x20 || text[0] == 0x7F) return "a control character";
  return "'" + text + "'";
}

bool begins_declaration(const Token& t) {
  return t.kind == Tk::Name && (t.text == "format" || t.text == "fn" || t.text == "model" || t.text == "let" || t.text == "table");
}

}  // namespace

Parser::Parser(SourcePtr source) : source_(std::move(source)) {
  Lexed lexed = lex(*source_);
  tokens_ = std::move(lexed.tokens);
  errors_ = std::move(lexed.errors);
}

// After a mistake: the end, whatever there is.
const Token& Parser::peek(size_t ahead) const {
  return failed_ ? tokens_.back() : tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
}

Token Parser::next() {
  Token t = peek();
  if (!failed_ && at_ + 1 < tokens_.size()) ++at_;
  return t;
}

bool Parser::accept(std::string_view text) {
  if (!at(text)) return false;
  next();
  return true;
}

void Parser::expect(std::string_view text, const char* after) {
  if (!accept(text)) expected("'" + std::string(text) + "' after " + after);
}

void Parser::expect_close(std::string_view text, const Token& open) {
  if (accept(text) || failed_) return;
  size_t line_no = 1 + std::count(source_->text.begin(), source_->text.begin() + open.begin, '\n');
  fail(peek(), "expected '" + std::string(text) + "', found " + describe(peek()),
       "to close the '" + std::string(open.text) + "' of line " + std::to_string(line_no));
}

std::string Parser::expect_name(const char* what) {
  if (peek().kind != Tk::Name || is_reserved(peek().text)) {
    expected(what);
    return "";
  }
  return std::string(next().text);
}

void Parser::skip_newlines() {
  while (peek().kind == Tk::Newline) next();
}

void Parser::end_of_item(const char* what) {
  if (failed_ || at("}") || peek().kind == Tk::End) return;
  if (peek().kind != Tk::Newline) expected(std::string("the end of ") + what);
  skip_newlines();
}

void Parser::fail(const Token& at, std::string message, std::string note) {
  if (failed_) return;
  failed_ = true;
  if (errors_.size() < kMaxErrors) errors_.push_back({{source_.get(), at.begin, at.end}, std::move(message), std::move(note)});
}

void Parser::expected(const std::string& what) {
  if (!failed_) fail(peek(), "expected " + what + ", found " + describe(peek()));
}

Span Parser::span(const Token& from) const {
  uint32_t end = at_ > 0 ? tokens_[at_ - 1].end : from.end;
  return {source_.get(), from.begin, std::max(end, from.end)};
}

bool Parser::deeper(const Token& at) {
  if (depth_ >= kMaxDepth) {
    fail(at, "nested too deeply: at most " + std::to_string(kMaxDepth) + " levels are allowed");
    return false;
  }
  ++depth_;
  return true;
}

File Parser::file() {
  File out;
  out.source = source_;
  while (true) {
    skip_newlines();
    if (peek().kind == Tk::End) break;
    size_t start = at_;
    declaration(out);
    if (failed_) recover(at_ > start);
  }
  return out;
}

// On to the next line that begins a declaration: at the left margin, or outside all braces.
// `moved`: the declaration took a token; where it did not, this one must be skipped.
void Parser::recover(bool moved) {
  failed_ = false;
  depth_ = 0;
  no_bit_or_ = false;
  for (; peek().kind != Tk::End; next(), moved = true) {
    const Token& t = peek();
    bool margin = t.first && (t.begin == 0 || source_->text[t.begin - 1] == '\n');
    bool sure = t.text == "format" || t.text == "fn" || t.text == "model";
    if (moved && t.first && begins_declaration(t) && (margin || (sure && t.braces == 0))) return;
  }
}

void Parser::declaration(File& file) {
  if (at("format")) {
    FormatDecl d = format();
    if (!failed_) file.formats.push_back(std::move(d));
  } else if (at("fn")) {
    FnDecl d = function();
    if (!failed_) file.functions.push_back(std::move(d));
  } else if (at("model")) {
    ModelDecl d = model();
    if (!failed_) file.models.push_back(std::move(d));
  } else if (at("let")) {
    Stmt s = let();
    end_of_item("the declaration");
    if (!failed_) file.lets.push_back(std::move(s));
  } else if (at("table")) {
    TableDecl t = table();
    end_of_item("the declaration");
    if (!failed_) file.tables.push_back(std::move(t));
  } else {
    expected("a declaration: 'format', 'fn', 'model', 'let' or 'table'");
  }
}

// <W: format, bits, S: float>
std::vector<GenericParam> Parser::generics() {
  std::vector<GenericParam> out;
  if (!at("<")) return out;
  Token open = next();
  do {
    GenericParam g;
    g.name = expect_name("the name of a parameter");
    if (accept(":")) {
      if (at("format") || at("float")) {
        g.kind = std::string(next().text);
      } else if (!accept("int")) {
        expected("'format', 'float' or 'int'");
      }
    }
    out.push_back(std::move(g));
  } while (accept(","));
  expect_close(">", open);
  return out;
}

// f32[T, K]    paged KF[G, C]    act_q8<32>[N, K]    [N, K]    int
TypeExpr Parser::type() {
  Token from = peek();
  TypeExpr t;
  if (at("paged") && peek(1).kind == Tk::Name) next(), t.paged = true;
  if (!at("[")) {
    t.name = expect_name("a type");
    if (at("<")) t.args = type_args();
  }
  if (at("[")) {
    bool pipe = no_bit_or_;
    no_bit_or_ = false;
    Token open = next();
    t.has_dims = true;
    do {
      t.dims.push_back(expr());
    } while (accept(","));
    expect_close("]", open);
    no_bit_or_ = pipe;
  }
  t.span = span(from);
  return t;
}

// Names up to `close`, which is taken: (t, h)
std::vector<std::string> Parser::names(std::string_view close, const char* what) {
  Token open = next();
  std::vector<std::string> out;
  do {
    out.push_back(expect_name(what));
  } while (accept(","));
  expect_close(close, open);
  return out;
}

std::vector<Param> Parser::params() {
  std::vector<Param> out;
  if (!at("(")) expected("'(' and the parameters");
  Token open = next();
  while (!failed_ && !at(")")) {
    Token from = peek();
    Param p;
    p.name = expect_name("a parameter's name");
    expect(":", "the name of a parameter, and its type");
    p.type = type();
    p.span = span(from);
    out.push_back(std::move(p));
    if (!accept(",")) break;
  }
  expect_close(")", open);
  return out;
}

FnDecl Parser::function() {
  Token from = next();
  FnDecl f;
  f.name = expect_name("the function's name");
  f.generics = generics();
  f.params = params();
  if (accept("->")) f.result = type();
  f.body = block("the function's body");
  f.span = span(from);
  return f;
}

// table name: i8 = [ … ]
TableDecl Parser::table() {
  Token from = next();
  TableDecl t;
  t.name = expect_name("the table's name");
  if (accept(":")) t.type = expect_name("the type of the table's entries");
  expect("=", "the table's name");
  Token open = peek();
  if (!at("[")) expected("'[' and the table's entries");
  next();
  while (!failed_ && !at("]")) {
    t.values.push_back(expr());
    if (!accept(",")) break;
  }
  if (t.values.empty()) expected("an entry of the table");
  expect_close("]", open);
  t.span = span(from);
  return t;
}

FormatDecl Parser::format() {
  Token from = next();
  FormatDecl f;
  f.name = expect_name("the format's name");
  f.generics = generics();
  Token open = peek();
  expect("{", "the format's name");
  skip_newlines();
  while (!failed_ && !at("}") && peek().kind != Tk::End) {
    format_item(f);
    skip_newlines();
  }
  if (f.fields.empty() && at("}")) expected("'block [elements] { fields }' or 'planes { fields }' in a format");
  if (!f.value && at("}")) expected("'value(k) = …' in a format");
  expect_close("}", open);
  f.span = span(from);
  return f;
}

void Parser::format_item(FormatDecl& f) {
  Token from = peek();
  auto once = [&](bool already) {
    if (already) fail(from, "a format has only one '" + std::string(from.text) + "'");
  };
  if (at("let")) {
    f.lets.push_back(let());
  } else if (at("table")) {
    f.tables.push_back(table());
  } else if (accept("gguf")) {
    once(f.gguf != nullptr);
    f.gguf = expr(kMinus);
  } else if (at("hf") || at("mlx")) {
    FormatSource s;
    s.kind = std::string(next().text);
    if (peek().kind != Tk::String) return expected("a string: hf \"F8_E4M3\"");
    s.text = primary()->text;
    f.sources.push_back(std::move(s));
  } else if (accept("block")) {
    once(!f.fields.empty());
    Token open = peek();
    expect("[", "'block', and the number of elements");
    f.block = expr();
    expect_close("]", open);
    format_fields(f);
  } else if (accept("planes")) {
    once(!f.fields.empty());
    f.planes = true;
    format_fields(f);
  } else if (accept("value")) {
    once(f.value != nullptr);
    format_value(f);
  } else if (accept("encode")) {
    once(!f.encode.empty());
    if (!at("absmax") && !at("search")) expected("'absmax' or 'search'");
    f.encode = std::string(next().text);
  } else {
    expected("'gguf', 'hf', 'mlx', 'block', 'planes', 'table', 'let', 'value' or 'encode'");
  }
}

void Parser::format_value(FormatDecl& f) {
  if (!at("(")) expected("'(' and the names of the indices");
  Token open = peek();
  f.value_params = names(")", "the name of an index");
  if (!failed_ && f.value_params.size() > 2) fail(open, "a value depends on one index (k) or on two (n, k)");
  expect("=", "'value(…)'");
  skip_newlines();
  f.value = expr();
}

// { d: f16  qs: u8[16]  sum: i16[N, K / 16](g) = sum[j in 0..16](q[g * 16 + j]) }
void Parser::format_fields(FormatDecl& f) {
  skip_newlines();
  Token open = peek();
  expect("{", "what goes before the fields");
  skip_newlines();
  while (!failed_ && !at("}") && peek().kind != Tk::End) {
    Token from = peek();
    FormatField field;
    field.name = expect_name("a field's name");
    expect(":", "the field's name");
    field.type = type();
    if (at("(")) {
      field.derive_params = names(")", "the name of an index");
      expect("=", "the indices of a derived field");
      skip_newlines();
      field.derive = expr();
    } else if (accept("in")) {
      format_field_place(field);
    }
    field.span = span(from);
    f.fields.push_back(std::move(field));
    accept(",");
    skip_newlines();
  }
  if (f.fields.empty()) expected("a field");
  expect_close("}", open);
}

// in "scales"    in "weight_scale_inv"[128, 128]
void Parser::format_field_place(FormatField& field) {
  if (peek().kind != Tk::String) return expected("the last part of the name of the tensor that holds the field: in \"scales\"");
  field.beside = primary()->text;
  if (!at("[")) return;
  Token open = next();
  do {
    field.shared.push_back(expr());
  } while (accept(","));
  expect_close("]", open);
  if (!failed_ && field.shared.size() != 2) fail(open, "expected the rows and the elements that share an entry: [128, 128]");
}

// gguf "key" / 2 | hf "key" | 10000.0
std::vector<Alternative> Parser::alternatives() {
  std::vector<Alternative> out;
  no_bit_or_ = true;
  while (!failed_) {
    Alternative a;
    if (peek().kind == Tk::Name && is_source(peek().text)) a.source = std::string(next().text);
    a.value = expr();
    out.push_back(std::move(a));
    size_t keep = at_;
    skip_newlines();  // a line may begin with '|'
    if (!at("|")) {
      if (!failed_) at_ = keep;
      break;
    }
    next();
    skip_newlines();
  }
  no_bit_or_ = false;
  return out;
}

Binding Parser::binding(bool with_value) {
  Token from = peek();
  Binding b;
  b.name = expect_name("a name");
  if (accept(":")) b.type = type();
  if (!with_value && !b.type) expected("':' and a type");
  if (at("optional")) {
    if (!with_value) expected("the end of the line: a state is never optional");
    next();
    b.optional = true;
  }
  if (with_value) {
    expect("=", "a name and its type");
    skip_newlines();
    b.alternatives = alternatives();
  }
  b.span = span(from);
  return b;
}

// The inside of weights { … } and state { … }; `layer[l in lo..hi] { … }` nests.
void Parser::indexed(std::vector<IndexedBinding>& out, std::vector<Binder> over, bool with_value) {
  Token open = peek();
  expect("{", "the section's name");
  skip_newlines();
  if (!deeper(open)) return;
  while (!failed_ && !at("}") && peek().kind != Tk::End) {
    if (at("layer") && is(peek(1), "[")) {
      next();
      Token bracket = next();
      std::vector<Binder> inner = over;
      for (Binder& b : binders()) {
        if (!b.lo) fail(bracket, "expected 'in' and a range: layer[l in 0..layers]");
        inner.push_back(std::move(b));
      }
      expect_close("]", bracket);
      indexed(out, std::move(inner), with_value);
    } else {
      out.push_back({over, binding(with_value)});
    }
    end_of_item("the line");
  }
  shallower();
  expect_close("}", open);
}

ModelDecl Parser::model() {
  Token from = next();
  ModelDecl m;
  m.name = expect_name("the model's name");
  Token open = peek();
  expect("{", "the model's name");
  skip_newlines();
  bool has_forward = false;
  while (!failed_ && !at("}") && peek().kind != Tk::End) {
    model_section(m, has_forward);
    end_of_item("the section");
  }
  if (!has_forward && at("}")) expected("'forward { … }' in a model");
  expect_close("}", open);
  m.span = span(from);
  return m;
}

void Parser::model_section(ModelDecl& m, bool& has_forward) {
  Token from = peek();
  auto once = [&](bool already) {
    if (already) fail(from, "a model has only one '" + std::string(from.text) + "'");
  };
  if (at("fn")) {
    m.functions.push_back(function());
  } else if (accept("arch")) {
    once(!m.arch.empty());
    m.arch = alternatives();
    for (const Alternative& a : m.arch) {
      if (!failed_ && (a.source.empty() || a.value->kind != ExprKind::String)) {
        fail(from, "expected a source and a string: arch gguf \"llama\" | hf \"LlamaForCausalLM\"");
      }
    }
  } else if (accept("config")) {
    once(!m.config.empty());
    Token open = peek();
    expect("{", "'config'");
    skip_newlines();
    while (!failed_ && !at("}") && peek().kind != Tk::End) {
      m.config.push_back(binding(true));
      end_of_item("the line");
    }
    expect_close("}", open);
  } else if (accept("weights")) {
    once(!m.weights.empty());
    indexed(m.weights, {}, true);
  } else if (accept("state")) {
    once(!m.state.empty());
    indexed(m.state, {}, false);
  } else if (accept("forward")) {
    once(has_forward);
    has_forward = true;
    m.forward = block("the forward pass");
  } else {
    expected("'arch', 'config', 'weights', 'state', 'fn' or 'forward'");
  }
}

Parsed parse(SourcePtr source) {
  Parsed out;
  if (source->text.size() > kMaxSource) {
    out.file.source = source;
    out.errors.push_back({{source.get(), 0, 0}, "this file is larger than 64 MiB: no .lum source is", ""});
    return out;
  }
  Parser parser(std::move(source));
  out.file = parser.file();
  out.errors = parser.take_errors();
  std::stable_sort(out.errors.begin(), out.errors.end(), [](const Diag& a, const Diag& b) { return a.span.begin < b.span.begin; });
  return out;
}

}  // namespace lumen::syntax
