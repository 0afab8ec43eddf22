# Two commands do everything on a fresh machine that has Rust and Python 3:
#
#   make run     builds, runs examples/hello/hello.ini and prints the address that answers
#   make test    installs what the tests need, then checks and tests everything

CARGO ?= cargo
PYTHON ?= python3
PREFIX ?= /usr/local
DESTDIR ?=
# Where the recipes look for what cargo has built, whatever the caller's environment says.
export CARGO_TARGET_DIR := $(CURDIR)/target
MANDIR = $(DESTDIR)$(PREFIX)/share/man

.PHONY: all run test bench install uninstall clean

all:
	$(CARGO) build --release --locked

run: all
	PATH="$(CURDIR)/target/release:$$PATH" examples/hello/hello.ini

# Format, lints, every test, all of which run even if one fails.
test: target/venv/installed
	tests/install.sh
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) test --locked --no-fail-fast

# Compares with other servers under load, and prints the table.
bench: all target/bench-venv/installed
	tests/install.sh
	target/bench-venv/bin/python benches/bench.py

# Virtual environments inside target/; a changed list of packages makes them anew.
target/venv/installed: tests/requirements.txt
target/bench-venv/installed: benches/requirements.txt
target/%/installed:
	tests/install.sh
	rm -rf $(@D)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

install: all
	install -d "$(DESTDIR)$(PREFIX)/bin" "$(MANDIR)/man1" "$(MANDIR)/man5"
	install -m 755 target/release/runner target/release/invoke "$(DESTDIR)$(PREFIX)/bin"
	install -m 644 man/*.1 "$(MANDIR)/man1"
	install -m 644 man/*.5 "$(MANDIR)/man5"

uninstall:
	rm -f "$(DESTDIR)$(PREFIX)/bin/runner" "$(DESTDIR)$(PREFIX)/bin/invoke"
	for page in man/*.1; do rm -f "$(MANDIR)/man1/$${page##*/}"; done
	for page in man/*.5; do rm -f "$(MANDIR)/man5/$${page##*/}"; done

clean:
	$(CARGO) clean
