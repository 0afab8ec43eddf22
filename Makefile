# Two commands are enough on a fresh machine with Rust and Python 3:
#
#   make run     builds, runs examples/hello/hello.ini and prints its address
#   make test    installs what the tests need, then checks and tests everything

CARGO ?= cargo
PYTHON ?= python3
PREFIX ?= /usr/local
DESTDIR ?=
SHARE = $(DESTDIR)$(PREFIX)/share
MANDIR = $(SHARE)/man
BASH_COMPLETIONS = $(SHARE)/bash-completion/completions
ZSH_COMPLETIONS = $(SHARE)/zsh/site-functions
FISH_COMPLETIONS = $(SHARE)/fish/vendor_completions.d
UNITS = $(DESTDIR)$(PREFIX)/lib/systemd/system
# cargo's profile, and the folder of what it builds. The tests install packages of debug programs: make dist PROFILE=dev
PROFILE = release
BUILT = target/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))
# The completions must not depend on the settings of the user who builds them.
COMPLETIONS = env -i XDG_CONFIG_HOME=/nonexistent $(BUILT)/runner completions
# The installed programs must not contain paths of the build machine: paths of crates and of this project are shortened.
REMAP = "--remap-path-prefix=$(CURDIR)=runner", "--remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)/registry/src=crates"
# cargo builds nothing again for the wheel if it gets the same options.
BUILD = --profile $(PROFILE) --locked $(if $(filter-out dev,$(PROFILE)),--config 'build.rustflags = [$(REMAP)]')
# The recipes expect cargo's output here, whatever the caller's environment says.
export CARGO_TARGET_DIR := $(CURDIR)/target
MAKEFLAGS += --no-print-directory

.PHONY: all run test fuzz docs bench figures soak soak-site dist wheel sdist deb install install-built uninstall clean

all:
	$(CARGO) build $(BUILD)

run: all
	PATH="$(CURDIR)/$(BUILT):$$PATH" examples/hello/hello.ini

# Format, lints, documentation, every test (the others still run after a failure), and fuzzing.
test: target/venv/installed target/node/installed target/tools/mdbook/installed $(if $(filter 0,$(shell id -u)),target/debian.tar)
	tests/install.sh
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps --document-private-items
	$(MAKE) dist PROFILE=dev
	$(CARGO) test --locked --no-fail-fast
	$(MAKE) fuzz

# 200 000 cases for each of the parsers, the evaluator, the formatter and the readers of what workers and clients of WebSockets
# send. Only `runner` itself is compiled again, with little optimisation and all checks of a debug build. fuzz/Cargo.toml says how to run libFuzzer.
fuzz:
	RUNNER_FUZZ=200000 $(CARGO) test --locked --config profile.dev.package.runner.opt-level=1 --test fuzz

# The book in docs/, as pages for a browser: target/book/index.html.
docs: target/tools/mdbook/installed
	target/tools/mdbook/bin/mdbook build docs

# Compares runner with other servers under load, for half an hour, and prints the tables. `make bench BENCH=--quick` takes a
# few minutes and only shows that all works.
BENCH ?=
bench: all target/bench-venv/installed
	tests/install.sh bench
	target/bench-venv/bin/python benches/bench.py $(BENCH)

# The same, and writes the figures into README.md and benches/: to be run on a machine that does nothing else.
figures: bench
	target/bench-venv/bin/python benches/figures.py target/bench.json

# Before a release run it longer: `make soak MINUTES=30`.
MINUTES ?= 5
soak: all
	$(PYTHON) benches/soak.py --minutes $(MINUTES)

# A site of all kinds of applications under load, while it is reloaded and its processes are killed. The suite has it for
# some seconds.
SECONDS ?= 30
soak-site: all
	$(PYTHON) benches/soak_site.py --seconds $(SECONDS)

# Packages to publish, and their checksums. `make dist` makes them of the same programs.
DIST = target/dist$(if $(filter-out release,$(PROFILE)),-$(PROFILE))
dist:
	rm -rf $(DIST)
	$(MAKE) wheel
	$(MAKE) sdist
	$(MAKE) deb
	cd $(DIST) && sha256sum runner* >SHA256SUMS
	@echo; echo "In $(DIST):"; cd $(DIST) && ls -sh1 runner*

# For pip: both programs and the man pages, for any Python. The name of the file says which glibc it needs.
wheel: all target/packaging-venv/installed
	rm -f $(DIST)/runner-*.whl
	target/packaging-venv/bin/maturin build $(BUILD) --out $(DIST)

# The source for pip, which needs Rust to install it.
sdist: target/packaging-venv/installed
	rm -f $(DIST)/runner-*.tar.gz
	target/packaging-venv/bin/maturin sdist --out $(DIST)

# For Debian and its relatives.
deb: all
	mkdir -p $(DIST)
	rm -f $(DIST)/runner_*.deb
	packaging/deb.sh $(PROFILE) $(DIST)

# Virtual environments inside target/, created again when their list of packages changes.
define ENVIRONMENT
	rm -rf $(@D)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --requirement $<
	touch $@
endef
target/venv/installed: tests/requirements.txt
	tests/install.sh
	$(ENVIRONMENT)
target/bench-venv/installed: benches/requirements.txt
	tests/install.sh bench
	$(ENVIRONMENT)
target/packaging-venv/installed: packaging/requirements.txt
	$(ENVIRONMENT)

# mdBook, which builds the book.
target/tools/mdbook/installed: docs/requirements.txt
	rm -rf $(@D)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	touch $@

# Packages from npm that a server of the tests uses.
target/node/installed: tests/apps/node/package.json
	tests/install.sh
	mkdir -p $(@D)
	cp $< $(@D)
	npm install --prefix $(@D) --no-audit --no-fund --ignore-scripts --silent
	touch $@

# A minimal Debian of this system's version, in which a test installs the package. Only root can use it.
target/debian.tar:
	tests/install.sh
	mmdebstrap --quiet --variant=essential --include=python3 --format=tar "$$(. /etc/os-release; echo $$VERSION_CODENAME)" $@.new
	mv $@.new $@

install: all
	$(MAKE) install-built

# What is built already.
install-built:
	install -d "$(DESTDIR)$(PREFIX)/bin" "$(MANDIR)/man1" "$(MANDIR)/man5"
	install -m 755 $(BUILT)/runner $(BUILT)/invoke "$(DESTDIR)$(PREFIX)/bin"
	install -m 644 man/*.1 "$(MANDIR)/man1"
	install -m 644 man/*.5 "$(MANDIR)/man5"
	install -d "$(BASH_COMPLETIONS)" "$(ZSH_COMPLETIONS)" "$(FISH_COMPLETIONS)"
	$(COMPLETIONS) bash >"$(BASH_COMPLETIONS)/runner"
	$(COMPLETIONS) zsh >"$(ZSH_COMPLETIONS)/_runner"
	$(COMPLETIONS) fish >"$(FISH_COMPLETIONS)/runner.fish"
	install -d "$(UNITS)" "$(SHARE)/runner"
	sed 's,/usr/,$(PREFIX)/,g' packaging/systemd/runner@.service >"$(UNITS)/runner@.service"
	install -m 644 packaging/systemd/service.ini "$(SHARE)/runner"

uninstall:
	rm -f "$(DESTDIR)$(PREFIX)/bin/runner" "$(DESTDIR)$(PREFIX)/bin/invoke"
	for page in man/*.1; do rm -f "$(MANDIR)/man1/$${page##*/}"; done
	for page in man/*.5; do rm -f "$(MANDIR)/man5/$${page##*/}"; done
	rm -f "$(BASH_COMPLETIONS)/runner" "$(ZSH_COMPLETIONS)/_runner" "$(FISH_COMPLETIONS)/runner.fish"
	rm -f "$(UNITS)/runner@.service" "$(SHARE)/runner/service.ini"
	-rmdir "$(SHARE)/runner"

clean:
	$(CARGO) clean
