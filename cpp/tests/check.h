#pragma once
#include <cstdio>
#include <cstdlib>
#include <exception>

// A test is a function; a check that fails says where and ends the program.
#define CHECK(condition)                                                                                     \
  do {                                                                                                       \
    if (!(condition)) {                                                                                      \
      std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                   \
      std::exit(1);                                                                                          \
    }                                                                                                        \
  } while (false)

#define CHECK_THROWS(expression, type)                                                                       \
  do {                                                                                                       \
    bool thrown = false;                                                                                     \
    try {                                                                                                    \
      static_cast<void>(expression);                                                                         \
    } catch (const type &) {                                                                                 \
      thrown = true;                                                                                         \
    }                                                                                                        \
    CHECK(thrown && #expression " throws " #type);                                                           \
  } while (false)
