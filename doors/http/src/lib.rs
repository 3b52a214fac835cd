//! ccache, Bazel over HTTP, and plain keys and values.
