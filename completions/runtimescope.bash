# Completion of runtimescope for bash. Static: it runs no program and reads no file. Paths after --collector are
# left to readline, which needs bash 4 (compopt); with an older bash they are not completed.
# shellcheck shell=bash disable=SC2207  # no word below has a space or a pattern in it

_runtimescope() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
  local command=${COMP_WORDS[1]-} words='' flags=''
  COMPREPLY=()

  # to bash --collector=PATH is three words
  if [[ $cur == = ]]; then
    cur=
  elif [[ $prev == = ]]; then
    prev=${COMP_WORDS[COMP_CWORD - 2]}
  fi

  if ((COMP_CWORD == 1)); then
    words='service dashboard mcp version help' flags='-v --version'
  elif [[ $command == service ]] && ((COMP_CWORD == 2)); then
    words='install stop start restart status uninstall wait logs doctor update run unit help'
  else
    [[ $command != service ]] || command="service ${COMP_WORDS[2]}"
    case $command in
      dashboard) flags='-n --dry-run --no-open --network --timeout' ;;
      mcp) flags='' ;;
      version) flags='' ;;
      help) flags='' ;;
      'service install') flags='-n --dry-run --collector --env --timeout --json' ;;
      'service stop') flags='-n --dry-run --json' ;;
      'service start') flags='-n --dry-run --timeout --json' ;;
      'service restart') flags='-n --dry-run --timeout --json' ;;
      'service status') flags='--json --exit-code' ;;
      'service uninstall') flags='-n --dry-run --json' ;;
      'service wait') flags='--timeout --json' ;;
      'service logs') flags='-n --lines -f --follow' ;;
      'service doctor') flags='--json' ;;
      'service update') flags='-n --dry-run --collector --timeout --json' ;;
      'service run') flags='--collector' ;;
      'service unit') flags='--collector --systemd --launchd' ;;
      'service help') flags='' ;;
      *) return ;;
    esac
  fi

  case $command:$prev in
    *:--collector)
      [[ " $flags " != *' --collector '* ]] || compopt -o default 2>/dev/null
      return
      ;;
    'service install:--env')
      COMPREPLY=($(compgen -e -- "$cur"))
      return
      ;;
    *:--timeout) words='30s 60s 2m 5m' ;;
    'service logs:-n' | *:--lines) return ;; # a number: nothing to offer
  esac
  [[ -n $words && $cur != -* ]] || words="$flags -h --help"
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}

complete -F _runtimescope runtimescope
