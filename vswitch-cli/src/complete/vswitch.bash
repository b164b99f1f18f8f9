# Completion of `vswitch` for bash. Each completion runs `vswitch`, which asks the daemon for names.
_vswitch() {
    local line=${COMP_LINE:0:COMP_POINT} IFS=$' \t\n' words current
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    current=${words[-1]}
    # `sudo vswitch ...`: the words from `vswitch` on.
    while [[ ${#words[@]} -gt 1 && ${words[0]##*/} != vswitch ]]; do words=("${words[@]:1}"); done
    # Bash has cut the current word at ':' and '=': candidates lose what stands before.
    local before=${current%"$2"} found candidate
    found=$(_CLAP_IFS=$'\n' _CLAP_COMPLETE_INDEX=$((${#words[@]} - 1)) VSWITCH_COMPLETE=bash \
        vswitch -- "${words[@]}" 2>/dev/null) || return 0
    COMPREPLY=()
    while IFS= read -r candidate; do
        [[ -n $candidate ]] && COMPREPLY+=("${candidate#"$before"}")
    done <<<"$found"
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=/:] ]] && compopt -o nospace
    return 0
}
complete -o nosort -F _vswitch vswitch
