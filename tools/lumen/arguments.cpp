// Options over CLI11.
#include "arguments.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>

namespace lumen::tool {
namespace {

// The name people see in messages: the long one of "-t,--threads".
std::string shown(const std::string& flags) {
  size_t comma = flags.rfind(',');
  return comma == std::string::npos ? flags : flags.substr(comma + 1);
}

std::string plain(double v) {
  char text[32];
  auto end = std::to_chars(text, text + sizeof text, v);
  return {text, end.ptr};
}

template <class T>
void parse_into(T& into, T lo, T hi, const std::string& flags, const std::string& kind, const std::string& given) {
  T v{};
  auto [end, ec] = std::from_chars(given.data(), given.data() + given.size(), v);
  bool whole = ec == std::errc() && end == given.data() + given.size();
  bool nan = false;
  if constexpr (std::is_floating_point_v<T>) nan = std::isnan(v);
  if (!whole || nan || v < lo || v > hi)
    throw CLI::ValidationError(shown(flags), "expected " + kind + " from " + plain(static_cast<double>(lo)) + " to " +
                                                 plain(static_cast<double>(hi)) + ", found '" + given + "'");
  into = v;
}

}  // namespace

void Arguments::positional(const std::string& name, std::string& into, const std::string& help, bool required) {
  auto* o = app_.add_option(name, into, help);
  o->type_name("");
  if (required) o->required();
}

void Arguments::positionals(const std::string& name, std::vector<std::string>& into, const std::string& help) {
  app_.add_option(name, into, help)->type_name("")->required();
}

void Arguments::text(const std::string& flags, std::string& into, const std::string& help) {
  app_.add_option(flags, into, help)->type_name("TEXT");
}

void Arguments::texts(const std::string& flags, std::vector<std::string>& into, const std::string& help) {
  app_.add_option(flags, into, help)->type_name("TEXT")->allow_extra_args(false);
}

void Arguments::integers(const std::string& flags, std::vector<int64_t>& into, int64_t lo, int64_t hi, const std::string& help) {
  app_.add_option_function<std::string>(
          flags,
          [&into, lo, hi, flags](const std::string& given) {
            into.clear();
            for (size_t at = 0; at <= given.size();) {
              size_t end = std::min(given.find(',', at), given.size());
              parse_into(into.emplace_back(), lo, hi, flags, "whole numbers with commas between, each", given.substr(at, end - at));
              at = end + 1;
            }
          },
          help)
      ->type_name("N,N,…");
}

void Arguments::choice(const std::string& flags, std::string& into, const std::vector<std::string>& allowed, const std::string& help) {
  std::string list;
  for (const std::string& a : allowed) list += (list.empty() ? "" : "|") + a;
  app_.add_option_function<std::string>(
          flags,
          [&into, allowed, list, flags](const std::string& given) {
            for (const std::string& a : allowed)
              if (a == given) {
                into = given;
                return;
              }
            throw CLI::ValidationError(shown(flags), "expected " + list + ", found '" + given + "'");
          },
          help)
      ->type_name(list);
}

void Arguments::integer(const std::string& flags, int64_t& into, int64_t lo, int64_t hi, const std::string& help) {
  app_.add_option_function<std::string>(
          flags, [&into, lo, hi, flags](const std::string& given) { parse_into(into, lo, hi, flags, "a whole number", given); }, help)
      ->type_name("N");
}

void Arguments::number(const std::string& flags, double& into, double lo, double hi, const std::string& help) {
  app_.add_option_function<std::string>(
          flags, [&into, lo, hi, flags](const std::string& given) { parse_into(into, lo, hi, flags, "a number", given); }, help)
      ->type_name("X");
}

void Arguments::flag(const std::string& flags, bool& into, const std::string& help) { app_.add_flag(flags, into, help); }

bool Arguments::given(const std::string& flag) const { return app_.count(flag) > 0; }

}  // namespace lumen::tool
