# Two commands: `make run` and `make test`. Each does its own set-up on a Debian-like machine that has cargo.

SHELL := /bin/bash
CARGO ?= cargo
LISTEN ?= 127.0.0.1:7979

.PHONY: help run test test-long test-deep check clients tools

help:
	@echo "make run        build and start a server on $(LISTEN) (LISTEN=host:port for another)"
	@echo "make test       everything CI runs, real clients included"
	@echo "make test-long  the long forms of crash, property and load tests"
	@echo "make test-deep  the bucket's tests against real object stores, which are built first"
	@echo "make check      cargo xtask check: everything but the tests"

# A compiler, a linker and git; installed with apt-get where that is possible.
tools:
	@ci/install-tools

run: tools
	$(CARGO) build --locked --release --package larder
	@ci/welcome $(LISTEN)
	$(CARGO) run --quiet --locked --release --package larder -- serve --listen $(LISTEN)

clients: tools
	@ci/install-clients

test: clients
	@ci/test

test-long: clients
	LARDER_REQUIRE_CLIENTS="$$(cat target/clients/present)" $(CARGO) test --locked --release --workspace -- --ignored

# A deep run without its stores would prove nothing, so all of them are required.
test-deep: tools
	@ci/install-deep
	LARDER_REQUIRE_CLIENTS=versitygw,minio,s3s-fs $(CARGO) test --locked --package larder-remote s3::tests::real
	LARDER_REQUIRE_CLIENTS=versitygw $(CARGO) test --locked --package larder --test it versitygw

check: tools
	$(CARGO) xtask check
