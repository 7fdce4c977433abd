// Hostile templates and values: each must be refused with one clear line, quickly, and with no crash.
#include <gtest/gtest.h>

#include <ctime>

#include "chat/json.h"
#include "chat/messages.h"
#include "chat/template.h"

namespace lumen::chat {
namespace {

std::string repeated(const std::string& text, size_t n) {
  std::string out;
  while (n-- > 0) out += text;
  return out;
}

// Renders; expects an error that contains `word`, in under ten seconds of CPU (under sanitisers; without them it takes less than one).
void refuse(const std::string& text, const std::string& word, const Value& context = Value::dict({})) {
  std::clock_t begin = std::clock();
  std::string error;
  auto chat = ChatTemplate::parse(text, "t");
  if (!chat) {
    error = chat.error().message;
  } else if (auto out = chat->render(context); !out) {
    error = out.error().message;
  }
  double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  std::string shown = text.substr(0, 120);
  EXPECT_NE(error.find(word), std::string::npos) << shown << "\nerror: " << error;
  EXPECT_TRUE(error.starts_with("t: ")) << error;
  EXPECT_EQ(error.find('\n'), std::string::npos) << error;
  EXPECT_LT(seconds, 10.0) << shown;
}

std::string render(const std::string& text, const Value& context = Value::dict({})) {
  auto chat = ChatTemplate::parse(text, "t");
  if (!chat) return "error: " + chat.error().message;
  auto out = chat->render(context);
  return out ? *out : "error: " + out.error().message;
}

TEST(Hostile, Loops) {
  refuse("{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}", "more work");
  refuse("{% for a in range(10**9) %}{% endfor %}", "range");
  refuse("{% for a in range(0 - 10**18, 10**18) %}{% endfor %}", "range");
  refuse("{% set ns = namespace(x=[1]) %}{% for a in range(100000) %}{% set ns.x = ns.x + ns.x %}{% endfor %}", "more work");
  refuse("{% for a in range(9999) if range(9999) | sum %}{% endfor %}", "more work");
  refuse("{% set x = range(100000) | list %}{% for a in x %}{% if -1 in x %}{% endif %}{% endfor %}", "more work");
  refuse(
      "{% set x = range(99999) | list %}{{ x | map('string') | map('length') | map('abs') | batch(1) | map('first') | list | sort | unique "
      "| "
      "list | map('string') | join | list | groupby(0) | length }}{{ range(99999) | slice(99999) | list | length }}" +
          repeated("{{ x | sort | unique | sum }}", 100),
      "more work");
}

TEST(Hostile, Output) {
  refuse("{{ 'x' * 10**9 }}", "longer than allowed");
  refuse("{{ 'x' * 10**18 }}", "longer than allowed");
  refuse("{{ [1] * 10**18 }}", "more work");
  refuse("{{ 10**9 * [1, 2] }}", "more work");
  refuse("{% set ns = namespace(s='x') %}{% for i in range(64) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}", "longer than allowed");
  refuse("{% set s = 'xxxxxxxxxx' * 100000 %}{% for i in range(1000) %}{{ s }}{% endfor %}", "longer than allowed");
  refuse("{{ ('a' * 30000) | replace('', 'b' * 30000) | length }}", "longer than allowed");
  refuse("{{ ('a' * 30000).replace('a', 'b' * 30000) }}", "longer than allowed");
  refuse("{{ (['a' * 30000] * 30000) | join('b' * 30000) }}", "longer than allowed");
  refuse("{{ ('a' * 1000000).join(['b'] * 1000) }}", "longer than allowed");
  refuse("{{ 'a'.center(10**12) }}", "longer than allowed");
  refuse("{{ 'a'.zfill(10**12) }}", "longer than allowed");
  refuse("{{ 'a' | center(10**12) }}", "longer than allowed");
  refuse("{{ '%1000000000d' | format(1) }}", "4096");
  refuse("{{ '%.1000000000f' | format(1.5) }}", "512");
  refuse("{{ '%*d' | format(10**9, 1) }}", "small int");
  refuse("{{ '{:1000000000}'.format(1) }}", "4096");
  refuse("{{ 'a\\n' * 1000000 | indent(4096) }}", "a");  // either limit
  refuse("{{ ('a\\n' * 100000) | indent(4096) }}", "longer than allowed");
  refuse("{{ {} | tojson(indent=10**9) }}", "256");
  refuse("{% set ns = namespace(x=[1]) %}{% for i in range(100) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}", "");
  refuse("{% set ns = namespace(x=[1]) %}{% for i in range(100) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x | tojson }}",
         "more work");
  refuse(
      "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(100) %}{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor "
      "%}"
      "{{ ns.x == ns.y }}",
      "more work");
  refuse("{{ strftime_now('%Y' * 100000) }}", "strftime_now");
  refuse("{% macro f() %}{{ 'x' * 20000000 }}{% endmacro %}{{ f() }}{{ f() }}", "longer than allowed");
}

TEST(Hostile, Recursion) {
  refuse("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "recurses too deeply");
  refuse("{% macro f(x) %}{% call f(x) %}{% endcall %}{{ caller }}{% endmacro %}{{ f(1) }}", "recurses too deeply");
  refuse("{% macro f(x) %}{{ x(x) }}{% endmacro %}{{ f(f) }}", "recurses too deeply");
  refuse("{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(40) }}", "more work");
  refuse("{% set ns = namespace(x=[]) %}{% for i in range(100000) %}{% set ns.x = [ns.x] %}{% endfor %}", "nested too deeply");
  refuse("{% set ns = namespace(x={}) %}{% for i in range(100000) %}{% set ns.x = {'k': ns.x} %}{% endfor %}", "nested too deeply");
  refuse("{% set ns = namespace(x=1) %}{% for i in range(100000) %}{% set ns.x = cycler(ns.x) %}{% endfor %}", "nested too deeply");
  refuse("{{ [[1]] | " + repeated("map('map', ", 150) + "'x'" + repeated(")", 150) + " | list }}", "");
}

TEST(Hostile, ParserNesting) {
  for (const char* open : {"(", "[", "{'a':", "-", "not ", "f(", "x[", "'a' if 1 else ", "1 ~ (", "x|default("}) {
    refuse("{{ " + repeated(open, 100000), "");
    refuse("{{ " + repeated(open, 100000) + " }}", "");
  }
  refuse("{{ " + repeated("(", 250) + "1" + repeated(")", 250) + " }}", "nested more than 200");
  refuse("{{ 1" + repeated(" + 1", 100000) + " }}", "deep");
  refuse("{{ x" + repeated(".a", 100000) + " }}", "deep");
  refuse("{{ x" + repeated("|upper", 100000) + " }}", "deep");
  refuse("{{ x" + repeated("()", 100000) + " }}", "deep");
  refuse("{{ 1" + repeated(" is odd", 100000) + " }}", "");
  refuse(repeated("{% if 1 %}", 100000), "nested more than 200");
  refuse(repeated("{% for a in b %}", 100000), "nested more than 200");
  refuse(repeated("{% set x %}", 100000), "nested more than 200");
  refuse(repeated("{% macro m() %}", 100000), "nested more than 200");
  refuse(std::string(5 << 20, 'x'), "bytes");
  EXPECT_EQ(render("{{ 1" + repeated(" ~ 1", 1000) + " }}").size(), 1001u);  // flat, so allowed
  EXPECT_EQ(render(repeated("{{ 1 }}", 10000)).size(), 10000u);
}

TEST(Hostile, Attributes) {
  Value context = Value::dict({{"x", Value::dict({{"a", 1}})}, {"l", Value::list({1})}, {"__secret", 1}});
  for (const char* attribute : {"__class__", "__init__", "__dict__", "__globals__", "__subclasses__", "__mro__"}) {
    for (const char* object : {"x", "l", "''", "1", "range", "x.get", "namespace()", "none", "f"}) {
      refuse("{% macro f() %}{% endmacro %}{{ " + std::string(object) + "." + attribute + " }}", "not allowed", context);
      refuse("{% macro f() %}{% endmacro %}{{ " + std::string(object) + "['" + attribute + "'] }}", "not allowed", context);
      refuse("{% macro f() %}{% endmacro %}{{ " + std::string(object) + "|attr('" + attribute + "') }}", "not allowed", context);
    }
  }
  refuse("{{ '{0.__class__}'.format(x) }}", "not allowed", context);
  refuse("{{ '{0[__class__]}'.format(x) }}", "not allowed", context);
  refuse("{{ [x] | map(attribute='__class__') | list }}", "not allowed", context);
  refuse("{{ [x] | selectattr('__class__') | list }}", "not allowed", context);
  refuse("{{ l.append(1) }}", "would change", context);
  refuse("{{ x.update({}) }}", "would change", context);
  refuse("{{ x.setdefault('b', 1) }}", "would change", context);
}

TEST(Hostile, Numbers) {
  refuse("{{ 9223372036854775807 + 1 }}", "64 bits");
  refuse("{{ -9223372036854775807 - 2 }}", "64 bits");
  refuse("{{ (-9223372036854775807 - 1) // -1 }}", "64 bits");
  refuse("{{ -(-9223372036854775807 - 1) }}", "64 bits");
  refuse("{{ (-9223372036854775807 - 1) | abs }}", "64 bits");
  refuse("{{ 10 ** 10 ** 10 }}", "64 bits");
  refuse("{{ 99999999999999999999 }}", "64 bits");
  refuse("{{ 1e308 * 10 | int }}{{ (1e308 * 10) | int }}", "64 bits");
  EXPECT_EQ(render("{{ (-9223372036854775807 - 1) % -1 }}{{ 1e308 * 10 }}{{ 'abc'[9223372036854775807:-9223372036854775807] }}"), "0inf");
  EXPECT_EQ(render("{{ [1, 2, 3][::-9223372036854775807] }}{{ [1, 2][:9223372036854775807:9223372036854775807] }}"), "[3][1]");
}

TEST(Hostile, Values) {
  Value deep = 1;
  for (int i = 0; i < 1000; ++i) deep = Value::list({deep});
  refuse("{{ x | tojson }}", "nested", Value::dict({{"x", deep}}));
  auto json = parse_json(repeated("[", 1000000));
  ASSERT_FALSE(json);
  EXPECT_NE(json.error().message.find("levels of nesting"), std::string::npos) << json.error().message;
  // Whatever bytes come as text pass through; what is no UTF-8 counts as one character a byte.
  Value bad = Value::dict({{"x", std::string("a\xff\xc3(\xed\xa0\x80z")}});
  EXPECT_EQ(render("{{ x }}", bad), "a\xff\xc3(\xed\xa0\x80z");
  EXPECT_EQ(render("{{ x|length }}{{ x[::-1] }}{{ x|upper }}", bad),
            "8z\x80\xa0\xed(\xc3\xff"
            "aA\xff\xc3(\xed\xa0\x80Z");
  EXPECT_EQ(render("{{ [x]|string|length > 8 }}{{ x|tojson }}{{ x.title()|length }}", bad), "True\"a\xff\xc3(\xed\xa0\x80z\"8");
}

TEST(Hostile, Cycles) {  // under a leak checker these must not leak
  EXPECT_EQ(render("{% set ns = namespace() %}{% set ns.me = ns %}{% set ns.list = [ns] %}{{ ns.me.me is defined }}"), "True");
  EXPECT_EQ(render("{% set ns = namespace() %}{% macro f() %}{{ ns.f is defined }}{% endmacro %}{% set ns.f = f %}{{ f() }}"), "True");
  EXPECT_EQ(render("{% for i in [1] %}{{ loop.changed(loop) }}{% set me = loop.changed %}{{ me(me) }}{% endfor %}"), "TrueTrue");
  EXPECT_EQ(render("{% set ns = namespace() %}{% for i in [1, 2] %}{% set ns.l = loop %}{% macro m() %}{{ i }}{% endmacro %}{% set ns.m = "
                   "m %}{% endfor %}"
                   "{{ ns.m() }}{{ ns.l.index }}"),
            "22");
  std::string chain = "{% set ns = namespace(x=1) %}{% for i in range(50000) %}{% set ns.x = namespace(x=ns.x) %}{% endfor %}ok";
  EXPECT_EQ(render(chain), "ok");
}

TEST(Errors, NameTheLine) {
  EXPECT_EQ(render("a\nb\n{{ x.y }}"), "error: t: line 3: 'x' is undefined");
  EXPECT_EQ(render("a\n{% if 1 %}\n{{ 1 + }}"), "error: t: line 3: expected an expression, found '}}'");
  EXPECT_EQ(render("{% for a in b %}\n\n"), "error: t: line 2: the template ends, but 'for' still needs its 'else'");
  EXPECT_EQ(render("\n{{ raise_exception('Only users!') }}"), "error: t: line 2: the template refuses this conversation: Only users!");
}

TEST(Errors, AreOneShortLine) {
  std::string error = render("{{ raise_exception('a\nb' ~ '안' * 10000) }}");
  EXPECT_EQ(error.find('\n'), std::string::npos);
  EXPECT_LT(error.size(), 600u);
  EXPECT_TRUE(error.ends_with("안...")) << error;
  refuse("{{ " + repeated("x", 100000) + ".y }}", "xxx");
  refuse("{% " + repeated("x", 100000) + " %}", "xxx");
}

TEST(Messages, RenderChat) {
  auto chat = ChatTemplate::parse(
      "{{ bos_token }}{% for m in messages %}{{ m.role }}:{{ m.content }}{% if m.tool_calls %}{{ m.tool_calls[0].function | tojson }}"
      "{% endif %}{{ m.reasoning_content }}{{ m.thinking }};{% endfor %}{{ tools is none }}{{ add_generation_prompt }}{{ flag }}",
      "t");
  ASSERT_TRUE(chat);
  Conversation c;
  c.messages = {{.role = "user", .content = "안녕"},
                {.role = "assistant", .content = nullptr, .reasoning = "R", .tool_calls = {{"1", "f", Value::dict({{"a", 1}})}}}};
  c.bos_token = "<s>";
  c.extra = {{"flag", true}};
  auto text = render_chat(&*chat, c);
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_EQ(*text, "<s>user:안녕;assistant:None{\"name\": \"f\", \"arguments\": {\"a\": 1}}RR;TrueTrueTrue");
  auto none = render_chat(nullptr, c);
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message.find("--raw"), std::string::npos);
  EXPECT_TRUE(chat->uses("tools"));
  EXPECT_FALSE(chat->uses("enable_thinking"));
}

TEST(Json, RoundTrip) {
  for (const char* text :
       {"null", "true", "[1, -2, 3.5, 1e+20]", "{\"a\": [{}, []], \"한\": \"\\u0001\\n\\\"\"}", "\"\"", "-0.0", "[[[[]]]]"}) {
    auto v = parse_json(text);
    ASSERT_TRUE(v) << text;
    EXPECT_EQ(to_json(*v), text);
  }
  EXPECT_EQ(parse_json("\"\\ud83d\\ude00\\u00e9\"")->as_string(), "😀é");
  for (const char* text : {"", "[", "[1,]", "{\"a\"}", "{a: 1}", "01", "1.", "\"\n\"", "\"\\x\"", "nul", "[1] 2", "\"abc", "{\"a\":1,}",
                           "+1", "\"\\ud800\\u0041\""}) {
    auto v = parse_json(text);
    EXPECT_FALSE(v) << text;
    EXPECT_TRUE(v || v.error().message.starts_with("JSON line 1 column ")) << v.error().message;
  }
}

}  // namespace
}  // namespace lumen::chat
