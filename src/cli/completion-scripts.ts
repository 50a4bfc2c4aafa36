/**
 * What a shell loads so that Tab asks `slipway complete`. Our own few lines: the generated scripts we looked at pass the
 * typed words through `eval`, so that pressing Tab behind `$(...)` would run it, and complete no file names.
 *
 * `slipway complete -- WORD ...` prints `VALUE<tab>DESCRIPTION` lines and then `:0` (file names are wanted) or `:4`.
 */
export type Shell = 'bash' | 'zsh' | 'fish';

export const SHELLS: readonly Shell[] = ['bash', 'zsh', 'fish'];

const bash = `# bash completion for slipway
_slipway() {
  local value
  COMPREPLY=()
  while IFS=$'\\t' read -r value _; do
    case "$value" in
      :0) compopt -o default 2>/dev/null ;;
      :*) ;;
      *) COMPREPLY+=("$value") ;;
    esac
  done < <(slipway complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _slipway slipway
`;

const zsh = `#compdef slipway
# zsh completion for slipway
_slipway() {
  local value description
  local -a candidates
  while IFS=$'\\t' read -r value description; do
    case "$value" in
      :0) _files; return ;;
      :*) ;;
      *) candidates+=("\${value//:/\\\\:}\${description:+:$description}") ;;
    esac
  done < <(slipway complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
  (( $#candidates )) && _describe 'slipway' candidates
}
if [[ "$funcstack[1]" == "_slipway" ]]; then _slipway "$@"; else compdef _slipway slipway; fi
`;

const fish = `# fish completion for slipway
function __slipway_complete
    set -l words (commandline -opc)
    slipway complete -- $words[2..-1] (commandline -ct) 2>/dev/null | string match -v ':*'
end
complete -c slipway -f -a '(__slipway_complete)'
complete -c slipway -s f -l file -r -F
`;

export function completionScript(shell: Shell): string {
  return { bash, zsh, fish }[shell];
}
