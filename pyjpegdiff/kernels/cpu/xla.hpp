// What the handlers read of XLA's foreign function interface: its C ABI, version 0.3, fields in their order.
//
// Declared here, so that the library is compiled without XLA. Structs begin with their size, which `KNOWS` reads.

#pragma once

#include <cstddef>
#include <cstdint>

namespace xla {

struct Head {
    size_t size;
    void* extensions;
};
struct Version : Head {
    int major, minor;
};
struct Error;
struct Context;

struct ErrorText : Head {
    const char* message;
    int code;
};
struct DestroyError : Head {
    Error* error;
};
struct Schedule : Head {
    Context* context;
    void (*task)(void*);
    void* data;
};
struct CountThreads : Head {
    Context* context;
    int64_t* count;
};

struct Api : Head {
    Version version;
    const void* internal;
    Error* (*create_error)(ErrorText*);
    void* get_message;
    void (*destroy_error)(DestroyError*);
    void* unused[8];
    Error* (*schedule)(Schedule*);
    Error* (*count_threads)(CountThreads*);
};

enum Type : int { BUFFER = 1, ARRAY = 1, S64 = 5, METADATA = 1, EXECUTE = 3, INVALID_ARGUMENT = 3 };

struct Buffer : Head {
    int dtype;
    void* data;
    int64_t rank;
    int64_t* lengths;
};
struct Buffers : Head {
    int64_t count;
    int* types;
    Buffer** buffers;
};
struct Text {
    const char* first;
    size_t length;
};
struct Numbers {
    int dtype;
    size_t count;
    void* data;
};
struct Attributes : Head {
    int64_t count;
    int* types;
    Text** names;
    Numbers** values;
};

struct Frame : Head {
    const Api* api;
    Context* context;
    int stage;
    Buffers arguments, results;
    Attributes attributes;
};

struct Metadata {
    size_t size;
    Version version;
    uint32_t traits;
};
struct Extension {
    size_t size;
    int type;
    Extension* next;
    Metadata* metadata;
};

// Whether XLA knows at least the fields up to and with this one.
#define KNOWS(pointer, field) \
    ((pointer)->size >= size_t(reinterpret_cast<const char*>(&(pointer)->field + 1) - reinterpret_cast<const char*>(pointer)))

}  // namespace xla
