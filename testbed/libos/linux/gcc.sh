#!/bin/sh
# SPDX-License-Identifier: MIT
# gcc, as kbuild calls it, for kernel files that all begin with the same headers: these are read from precompiled ones.
# In kbuild's output folder; what precompiled.py made is in tb-headers/: flags, and {core,net}.{h,h.gch,d}.
# A file whose flags are others, that defines anything before an include (which could change what a header says), or
# that does not compile this way, is compiled as it would be without this script. So nothing but the file and its flags
# decides, never the order of a build.

own=tb-headers

eligible() { # source: no macro of its own reaches a header
    case $1 in scripts/* | ../scripts/* | ../kernel/resource.c) return 1 ;; esac # precompiled.REFERENCE has no headers yet
    awk '/^[ \t]*#[ \t]*(define|undef)[ \t]/ { defined = 1 }
         /^[ \t]*#[ \t]*include[ \t]*</ && defined { late = 1; exit }
         END { exit late }' "$1"
}

quickly() {
    [ -f $own/flags ] || return 1
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
            -I*) ;;
            -o)
                set -- "$@" "$word"
                word=$1
                shift
                left=$((left - 1))
                ;;
            *.c) source=$word ;;
            *) flags="$flags $word" ;;
        esac
        set -- "$@" "$word"
    done
    read -r wanted <$own/flags
    [ "$flags" = " $wanted" ] && [ -n "$depfile" ] && eligible "$source" || return 1
    case $source in
        ../net/* | ../drivers/net/*) headers=net ;;
        *) headers=core ;;
    esac
    words=$(
        gcc -Winvalid-pch -Werror=invalid-pch -include $own/$headers.h -include /dev/fd/3 "$@" 2>&1 3<<END
$macros
END
    ) || return 1
    [ -z "$words" ] || printf '%s\n' "$words" >&2
    # gcc names the files that it has read itself; those of the precompiled header are known.
    { sed 's| /dev/fd/3||' "$depfile" && cat $own/$headers.d; } >"$depfile.tb" && mv "$depfile.tb" "$depfile"
}

quickly "$@" || exec gcc "$@"
