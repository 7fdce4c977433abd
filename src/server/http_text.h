// The text of HTTP: status lines, header blocks, chunks, targets. No sockets.
#pragma once
#include <string>
#include <string_view>

#include "server/http_server.h"

namespace lumen::server {

const char* reason_of(int status);
enum class Framing { Length, Chunked, UntilClose };
// Status line and headers, up to and with the empty line. Length: `length` becomes Content-Length.
std::string response_head(const HttpResponse& r, Framing framing, size_t length, bool keep_alive);
std::string chunk_of(std::string_view data);  // empty data gives nothing: an empty chunk would be the end
inline constexpr const char* kLastChunk = "0\r\n\r\n";

// Splits "/path?query" or "http://host/path?query" (whose host wins); false: neither.
bool split_target(std::string_view target, HttpRequest& out);
// "127.0.0.1:8080", "[::1]:8080", "localhost" to the name alone, lower case; empty: malformed.
std::string host_name(std::string_view host);
bool percent_decode(std::string_view text, std::string& out);
// Takes as long for every guess of one length: how much of it was right cannot be measured.
bool same_secret(std::string_view guess, std::string_view secret);

}  // namespace lumen::server
