/*
 * completion.c - amend completion: the scripts of the shells. They know nothing; each asks `amend __complete`
 * (complete.c) for what may follow, so that a newer client or daemon needs no newer script.
 */
#include "cli/commands.h"
#include "cli/opt.h"
#include "core/base/text.h"

#include <stdio.h>

/* Bash cuts words at = : and @ too and completes only what follows the last of them. */
static const char bash[] =
    "# made by: amend completion bash\n"
    "_amend() {\n"
    "    local line=\"${COMP_LINE:0:COMP_POINT}\" breaks=\"${COMP_WORDBREAKS//[^@=:]/}\" cut= one _\n"
    "    local -a words\n"
    "    read -ra words <<<\"$line\"\n"
    "    [[ $line == *[[:space:]] ]] && words+=(\"\")\n"
    "    local cur=\"${words[${#words[@]} - 1]}\"\n"
    "    [[ -n $breaks ]] && cut=\"${cur%\"${cur##*[$breaks]}\"}\"\n"
    "    COMPREPLY=()\n"
    "    while IFS=$'\\t' read -r one _; do\n"
    "        [[ -n $one ]] && COMPREPLY+=(\"${one#\"$cut\"}\")\n"
    "    done < <(\"${words[0]/#\\~/$HOME}\" __complete \"${words[@]:1}\" 2>/dev/null)\n"
    "    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[/@=] ]] && compopt -o nospace\n"
    "    return 0\n"
    "}\n"
    "complete -o default -F _amend amend\n";

static const char zsh[] =
    "#compdef amend\n"
    "# made by: amend completion zsh\n"
    "_amend() {\n"
    "    local -a found\n"
    "    local one tab=$'\\t'\n"
    "    for one in \"${(@f)$(_call_program amend amend __complete ${(q)words[2,CURRENT]} 2>/dev/null)}\"; do\n"
    "        [[ -n $one ]] && found+=(\"${${one%%$tab*}//:/\\\\:}:${one#*$tab}\")\n"
    "    done\n"
    "    if (( $#found )); then\n"
    "        _describe -t amend amend found\n"
    "    else\n"
    "        _files\n"
    "    fi\n"
    "}\n"
    "if [[ $funcstack[1] == _amend ]]; then\n"
    "    _amend \"$@\"\n"
    "else\n"
    "    compdef _amend amend\n"
    "fi\n";

static const char fish[] = "# made by: amend completion fish\n"
                           "function __amend_complete\n"
                           "    set -l words (commandline -opc) (commandline -ct)\n"
                           "    set -l found (command amend __complete $words[2..-1] 2>/dev/null)\n"
                           "    if test (count $found) -gt 0\n"
                           "        printf '%s\\n' $found\n"
                           "    else\n"
                           "        __fish_complete_path (commandline -ct)\n"
                           "    end\n"
                           "end\n"
                           "complete -c amend -f -a '(__amend_complete)'\n";

int am_cmd_completion(struct am_cli *c, int argc, char **argv)
{
    static const struct {
        const char *name, *script;
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    const char *word, *known[3];
    int rc = am_opt_parse(c, NULL, argc, argv, 1, 1, &word);
    if (rc)
        return rc;
    for (size_t i = 0; i < 3; i++) {
        known[i] = shells[i].name;
        if (am_streq(word, shells[i].name)) {
            fputs(shells[i].script, stdout);
            return 0;
        }
    }
    return am_say_unknown(c, "shell", word, known, 3);
}
