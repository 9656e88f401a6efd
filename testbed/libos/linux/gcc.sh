#!/bin/sh
# SPDX-License-Identifier: MIT
# gcc, as kbuild calls it, for kernel files that all begin with the same headers: these are read from precompiled ones.
# It runs in kbuild's output folder; beside it is what precompiled.py made: flags, and {core,net}.{h,h.gch,d,names}.
# A file whose flags are others, that defines a name before an include that the headers know (which could change what
# they say), or that does not compile this way, is compiled as it would be without this script. So nothing but the file and its flags
# decides, never the order of a build.

own=${0%/*}

eligible() { # source, headers: no macro of its own means anything to the headers
    case $1 in scripts/* | ../scripts/* | ../kernel/resource.c) return 1 ;; esac # precompiled.REFERENCE has no headers yet
    awk -v names="$own/$2.names" '
        /^[ \t]*#[ \t]*(define|undef)[ \t]/ {
            sub(/^[ \t]*#[ \t]*(define|undef)[ \t]+/, "")
            sub(/[^A-Za-z0-9_].*/, "")
            mine[$0] = 1
        }
        /^[ \t]*#[ \t]*include[ \t]*</ { for (name in mine) early[name] = some = 1 }
        END { while (some && (getline word <names) > 0) if (word in early) exit 1 }' "$1"
}

quickly() {
    [ -f "$own/flags" ] || return 1
    source='' depfile='' flags='' macros='' left=$#
    while [ "$left" -gt 0 ]; do
        word=$1
        shift
        left=$((left - 1))
        case $word in
            -include) # one of those that every file has
                shift
                left=$((left - 1))
                continue
                ;;
            -DKBUILD_* | -D__KBUILD_MODNAME=*) # differ from file to file: a precompiled header knows nothing of them
                word=${word#-D}
                macros="$macros#define ${word%%=*} ${word#*=}
"
                continue
                ;;
            -Wp,-MMD,*) depfile=${word#-Wp,-MMD,} ;;
            -o | -I) # an -I with a word of its own: kbuild of 6.1
                set -- "$@" "$word"
                word=$1
                shift
                left=$((left - 1))
                ;;
            -I* | -fdiagnostics-color*) ;; # ccache has gcc say it in colours, and strips them
            *.c) source=$word ;;
            *) flags="$flags $word" ;;
        esac
        set -- "$@" "$word"
    done
    read -r wanted <"$own/flags"
    case $source in
        ../net/* | ../drivers/net/*) headers=net ;;
        *) headers=core ;;
    esac
    [ "$flags" = " $wanted" ] && [ -n "$depfile" ] && eligible "$source" "$headers" || return 1
    words=$(
        gcc -Winvalid-pch -Werror=invalid-pch -include "$own/$headers.h" -include /dev/fd/3 "$@" 2>&1 3<<END
$macros
END
    ) || return 1
    [ -z "$words" ] || printf '%s\n' "$words" >&2
    # gcc names the files that it has read itself; those of the precompiled header are known.
    { sed 's| /dev/fd/3||' "$depfile" && cat "$own/$headers.d"; } >"$depfile.tb" && mv "$depfile.tb" "$depfile"
}

quickly "$@" || exec gcc "$@"
