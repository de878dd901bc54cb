/**
 * `walkcut completions SHELL`: completion scripts from the tables of options.
 *
 * @module
 */
import { ExitCode, UsageError } from "../errors.ts";
import { type Command, commonOptions, helpText, type Option, parseCommand } from "./command.ts";
import { commands } from "./commands.ts";
import { completionsCommand } from "./options.ts";

/** Runs the command; resolves to its exit code. */
export async function completions(args: readonly string[]): Promise<number> {
  const { positionals: [shell = ""], help } = parseCommand(completionsCommand, args);
  if (help) {
    console.log(helpText(completionsCommand));
    return ExitCode.Done;
  }
  const tables = await Promise.all(commands.map((entry) => entry.command()));
  const script = { bash, zsh, fish }[shell];
  if (!script) {
    throw new UsageError({ what: "No such shell", found: shell, advice: "it is one of bash, zsh, fish" });
  }
  console.log(script(tables));
  return ExitCode.Done;
}

function shownOptions(command: Command): Option[] {
  return [...command.options, ...commonOptions].filter((option: Option) => !option.hidden);
}

function spellings(option: Option): string[] {
  return option.alias ? [`--${option.name}`, `-${option.alias}`] : [`--${option.name}`];
}

/** Words that an option's value can be; undefined where any text goes. */
function words(option: Option): readonly string[] | undefined {
  if (option.kind === "choice") return option.choices;
  if ((option.kind === "integer" || option.kind === "number") && option.choices) {
    return option.choices.map(String);
  }
  return undefined;
}

function takesFile(option: Option): boolean {
  return option.kind === "path" || option.kind === "folder";
}

function bash(tables: readonly Command[]): string {
  const names = tables.map(({ name }) => name);
  const values = tables.flatMap((command) =>
    shownOptions(command).filter((option) => option.kind !== "flag").map((option) => {
      const patterns = spellings(option).map((s) => `${command.name}:${s}`).join("|");
      const list = words(option);
      const action = list
        ? `COMPREPLY=($(compgen -W '${list.join(" ")}' -- "$cur"))`
        : takesFile(option)
        ? `compopt -o default`
        : `:`;
      return `    ${patterns}) ${action}; return ;;`;
    })
  );
  const options = tables.map((command) =>
    `    ${command.name}) options='${shownOptions(command).flatMap(spellings).join(" ")}'` +
    `; words='${command.words?.join(" ") ?? ""}' ;;`
  );
  return `# bash completion of walkcut: source <(walkcut completions bash)
_walkcut() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} command=segment options words
  COMPREPLY=()
  if ((COMP_CWORD > 1)); then
    case \${COMP_WORDS[1]} in ${names.join("|")}) command=\${COMP_WORDS[1]} ;; esac
  fi
  case $command:$prev in
${values.join("\n")}
  esac
  case $command in
${options.join("\n")}
  esac
  if [[ $cur == -* ]]; then
    ((COMP_CWORD == 1)) && options+=' --version'
    COMPREPLY=($(compgen -W "$options" -- "$cur"))
  elif ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W '${names.join(" ")}' -- "$cur") $(compgen -f -- "$cur"))
  elif [[ $words ]]; then
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
  else
    compopt -o default
  fi
}
complete -F _walkcut walkcut`;
}

function zsh(tables: readonly Command[]): string {
  const quote = (text: string) => text.replace(/'/g, "'\\''").replace(/[[\]:]/g, "\\$&");
  const spec = (option: Option) => {
    const list = words(option);
    const action = list
      ? `(${list.join(" ")})`
      : option.kind === "folder"
      ? "_files -/"
      : takesFile(option)
      ? "_files"
      : " ";
    const value = option.kind === "flag" ? "" : `:${option.name}:${action}`;
    return spellings(option).map((s) => `'${s}[${quote(option.help)}]${value}'`).join(" ");
  };
  const cases = tables.map((command) => {
    const first = command.words ? `'1:word:(${command.words.join(" ")})'` : "'*:file:_files'";
    const specs = [...shownOptions(command).map(spec), first].join(" \\\n        ");
    return `    ${command.name})\n      _arguments -s \\\n        ${specs}\n      ;;`;
  });
  const described = tables.map(({ name, summary }) => `'${name}:${quote(summary)}'`).join(" ");
  return `#compdef walkcut
# zsh completion of walkcut: walkcut completions zsh > "\${fpath[1]}/_walkcut"
_walkcut() {
  local -a names
  names=(${described})
  local command=segment
  if ((CURRENT > 2)) && [[ -n \${(M)names:#\${words[2]}:*} ]]; then
    command=\${words[2]}
    shift words
    ((CURRENT--))
  elif ((CURRENT == 2)) && [[ \${words[2]} != -* ]]; then
    _describe command names
    _files
    return
  fi
  case $command in
${cases.join("\n")}
  esac
}
compdef _walkcut walkcut`;
}

function fish(tables: readonly Command[]): string {
  const quote = (text: string) => `'${text.replace(/[\\']/g, "\\$&")}'`;
  const names = tables.map(({ name }) => name);
  const others = names.filter((name) => name !== "segment").join(" ");
  const lines = tables.map(({ name, summary }) =>
    `complete -c walkcut -n __fish_use_subcommand -a ${name} -d ${quote(summary)}`
  );
  for (const command of tables) {
    const when = command.name === "segment"
      ? `'not __fish_seen_subcommand_from ${others}'`
      : `'__fish_seen_subcommand_from ${command.name}'`;
    for (const option of shownOptions(command)) {
      const list = words(option);
      const value = option.kind === "flag"
        ? ""
        : list
        ? ` -x -a ${quote(list.join(" "))}`
        : takesFile(option)
        ? " -r"
        : " -x";
      const short = option.alias ? ` -s ${option.alias}` : "";
      lines.push(`complete -c walkcut -n ${when} -l ${option.name}${short}${value} -d ${quote(option.help)}`);
    }
    if (command.words) lines.push(`complete -c walkcut -n ${when} -x -a ${quote(command.words.join(" "))}`);
  }
  return `# fish completion of walkcut: walkcut completions fish > ~/.config/fish/completions/walkcut.fish\n` +
    lines.join("\n");
}
