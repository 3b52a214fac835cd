//! Conformance suites, fakes and client runners for tests.
