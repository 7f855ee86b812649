# deps.mk - the packages of Debian 12 that the build and the tests need.

APT_BUILD := gcc libc6-dev pkg-config libmicrohttpd-dev libjansson-dev libsqlite3-dev libuv1-dev libssl-dev libcurl4-openssl-dev libyaml-dev zlib1g-dev libopenblas0-pthread curl
APT_TEST := libcmocka-dev clang clang-format libclang-rt-14-dev python3 python3-venv strace mount

.PHONY: deps-present
deps:
	@tools/deps $(APT_BUILD) $(APT_TEST)
deps-present:
	@tools/deps $(APT_BUILD)
