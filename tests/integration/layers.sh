#!/usr/bin/env bash
# Includes point down only; and the script that says so sees it when one doesn't.
. "${srcdir:?}/tests/lib/integration.sh"

script=$srcdir/scripts/check-layers
run_expect 0 "includes point down" sh "$script" "$srcdir"

fresh_copy() {
    rm -rf "$work/copy"
    mkdir -p "$work/copy"
    (cd "$srcdir" && find base wire providers vault cli module service include -name '*.[ch]' 2>/dev/null | tar cf - -T -) |
        tar xf - -C "$work/copy"
    chmod -R u+w "$work/copy"
}

turned_round() { # WHAT FILE INCLUDE
    fresh_copy
    printf '#include "%s"\n' "$3" >>"$work/copy/$2"
    run_expect 1 "$1" sh "$script" "$work/copy"
    says "... and is named" "$2"
}

fresh_copy
run_expect 0 "the copy is as good" sh "$script" "$work/copy"
turned_round "base may not include vault" base/text.c vault/vault.h
turned_round "base may not include providers" base/text.c providers/instance.h
turned_round "providers may not include vault" providers/batch.c vault/document.h
turned_round "vault may not include cli" vault/vault.c cli/command.h
turned_round "one provider may not include another" providers/local/local.c providers/pkcs11/pkcs11.h
turned_round "an installed header may not include ours" include/dekvault/span.h base/bytes.h
done_testing
