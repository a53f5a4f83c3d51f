#!/usr/bin/env bash
# Builds Plait and trains a byte-level GPT on the King James text: tools/demo.sh [train_gpt options]
# Installs what is missing. A run that was stopped goes on from its checkpoint with --resume.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

text="build/data/kjv.txt"
text_sha256=cd45f0c9cedab8e4439bd6486c8952c77cc8b0ecc5d1f6ae3513f2039f47229d

"$root/tools/setup.sh" demo

say "configuring and building (cmake --preset demo)"
configure demo build
build build

if ! sha256sum --status -c <<<"$text_sha256  $text" 2>/dev/null; then
  say "writing the King James text to $text"
  mkdir -p build/data
  bible -f gen1:1-rev22:21 >"$text.part"
  sha256sum --status -c <<<"$text_sha256  $text.part" ||
    fail "the text of Debian's bible-kjv is not the expected one: $(wc -c <"$text.part") bytes of" \
      "4404412, SHA-256 $(sha256sum <"$text.part"), expected $text_sha256"
  mv "$text.part" "$text"
fi

say "training: build/bin/train_gpt --text $text $*"
exec build/bin/train_gpt --text "$text" "$@"
