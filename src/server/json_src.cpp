// Boost.JSON itself, header-only, compiled once.
#include <boost/json/src.hpp>
