/*
 * commands.c - the one table of commands (commands.h).
 */
#include "cli/commands.h"

#include "core/base/text.h"

#define REF_SET "MODEL REF REV [--kind K] [--from REV] [--reason T] [--force]"
#define REF_SET_MORE                                                                                                   \
    "  --kind K    of a new one: alias (the default), branch or tag\n"                                                 \
    "  --from REV  only if it points there; else the client looks first and sends what it saw\n"                       \
    "  --reason T  why; the history keeps it\n"                                                                        \
    "  --force     move a tag, or a protected ref; takes a reason\n"                                                   \
    "Exits 7 when somebody moved it meanwhile.\n"
#define ROLLBACK "MODEL REF [--steps N | --to REV] --reason T"
#define ROLLBACK_MORE                                                                                                  \
    "  --steps N   so many targets back (1); two calls go two back and never to and fro\n"                             \
    "  --to REV    back to the last time it was there\n"                                                               \
    "  --reason T  why; the history keeps it\n"                                                                        \
    "  --force     a tag\n"
#define PROMOTE "MODEL REF REV [--reason T] [--force]"
#define PROMOTE_MORE                                                                                                   \
    "A protected ref moves when its gate has said promote for exactly these two versions; without that decision "      \
    "this\n"                                                                                                           \
    "exits 7 and tells the command that makes one.\n"                                                                  \
    "  --reason T  why; the history keeps it\n"                                                                        \
    "  --force     move it whatever the gate says; takes a reason, and the history shows it for ever\n"                \
    "  --kind K  --from REV   as in amend ref set\n"
#define METHOD_MORE                                                                                                    \
    "  --PARAM VALUE       a parameter of the method; --PARAM / --no-PARAM for yes and no; repeat it for lists\n"      \
    "  --param NAME=VALUE  the same, when an option below has the parameter's name\n"                                  \
    "  --message T  --branch B  --tag T (repeat)  --metadata K=V (repeat)  --priority N\n"                             \
    "  --threads N  --seed N  --out-dtype F32|F16|BF16  --no-reuse (compute even what was done before)\n"              \
    "  --gate NAME --old-predictions ID --new-predictions ID   publish only when the gate says promote; the new set "  \
    "is\n"                                                                                                             \
    "                     of the bytes that the job makes\n"                                                           \
    "  --move REF         a ref that moves to the result when the gate says promote (repeat)\n"                        \
    "  --wait             wait for the end (--timeout SECONDS); else the job's id is printed at once\n"                \
    "  --dry-run          print what the job would need, or why it would be refused; nothing is stored\n"              \
    "  --print-spec       print the job's body and do nothing\n"

const struct am_command am_commands[] = {
    {"model", "register", "DIR MODEL [--mode copy|move] [--branch B] [--message T]",
     "make a version of a directory on the daemon's machine",
     "  --mode move   take the files out of the directory, without a copy where that can be (copy)\n"
     "  --branch B    the branch that gets the version (main)\n"
     "  --message T   what the version is\n"
     "The directory must lie under one of the daemon's --store.import_roots. Prints the version when it is done.\n"
     "example: amend model register ~/models/llama demo/llama --message 'vendor release 3'\n",
     am_cmd_model_register, false},
    {"model", "import", "[HUB-ID[@REV]...] [--as MODEL] [--all] [--list]",
     "make versions of models of the local Hugging Face cache",
     "  --as MODEL   the model that gets the version (the one of the same name)\n"
     "  --all        every model of the cache, each at main\n"
     "  --list       list what is in the cache and do nothing\n"
     "The cache is HF_HUB_CACHE, HF_HOME/hub or ~/.cache/huggingface/hub. Nothing is downloaded; the daemon reads the\n"
     "files, so the cache must lie below one of its --store.import_roots. Id and commit are kept as metadata of the\n"
     "import, and what was imported before is not imported again.\n"
     "example: amend model import Qwen/Qwen2.5-0.5B --as demo/qwen\n",
     am_cmd_model_import, false},
    {"model", "create", "MODEL [--description T]", "make an empty model", NULL, am_cmd_model_create, false},
    {"model", "list", "[--limit N]", "list the models", "  --limit N   at most N rows (100)\n", am_cmd_model_list,
     false},
    {"model", "show", "MODEL[@REV]", "show a model, or one of its versions", NULL, am_cmd_model_show, false},
    {"model", "versions", "MODEL [--limit N]", "list the versions of a model, newest first",
     "  --limit N   at most N rows (100)\n", am_cmd_model_versions, false},
    {"model", "files", "MODEL[@REV]", "list the files of a version", NULL, am_cmd_model_files, false},
    {"model", "tensors", "MODEL[@REV] [--prefix P] [--limit N]", "list the tensors of a version",
     "  --prefix P  those whose name begins with P\n"
     "  --limit N   at most N rows (all)\n",
     am_cmd_model_tensors, false},
    {"model", "recipe", "MODEL[@REV]", "print the spec of the job that made a version",
     "It names every input by its commit, so it can be submitted again: amend job submit -f -\n", am_cmd_model_recipe,
     false},
    {"model", "pull", "MODEL[@REV] DIR", "download a version into a directory here, checking every hash",
     "Files that are already there with the right hash are skipped; others of the same name are replaced when the "
     "download is\n"
     "complete and checked.\n",
     am_cmd_model_pull, false},
    {"model", "diff", "MODEL[@REV] MODEL[@REV] [--class LIST] [--limit N]",
     "what is different between two versions: tensors and files",
     "  --class LIST  added, removed, reshaped, changed, identical; several with commas (all but identical)\n"
     "  --limit N     at most N tensors (1000)\n"
     "Told by headers and by where bytes are stored; nothing is read of the weights, so 'changed' means stored anew.\n"
     "example: amend model diff demo/llama@v1 demo/llama@v2\n",
     am_cmd_model_diff, false},
    {"model", "export", "MODEL[@REV] DIR [--overwrite]", "write a version into a directory on the daemon's machine",
     "  --overwrite   replace the directory when it is an earlier export\n"
     "The directory must lie under one of the daemon's --store.export_roots. Prints it when it is there.\n",
     am_cmd_model_export, false},
    {"model", "card", "MODEL[@REV]", "print the model card of a version", NULL, am_cmd_model_card, false},
    {"model", "lineage", "MODEL[@REV] [--mermaid] [--depth N]", "show what a version was made from",
     "  --mermaid   print a Mermaid graph\n"
     "  --depth N   so many steps back (8), or all\n"
     "On a terminal a tree, the version at the top and what it came from below; piped one line an edge: child, role, "
     "weight, parent, negative flip rate.\n",
     am_cmd_model_lineage, false},
    {"ref", "list", "MODEL [--kind K] [--limit N]", "list the branches, tags and aliases of a model",
     "  --kind K    branch, tag or alias\n"
     "  --limit N   at most N rows (100)\n",
     am_cmd_ref_list, false},
    {"ref", "set", REF_SET, "make a ref, or move it",
     REF_SET_MORE "example: amend ref set demo/base prod v3 --reason 'ticket 512'\n", am_cmd_ref_set, false},
    {"ref", "policy", "MODEL REF [--protected|--unprotected] [--gate NAME|--no-gate]",
     "protect a ref: then its gate, or --force, moves it, and --force deletes it",
     "  --gate NAME  the gate that must say promote before it moves\n"
     "  --no-gate    then it moves by force alone\n",
     am_cmd_ref_policy, false},
    {"ref", "rm", "MODEL REF [--reason T] [--force]", "delete a ref; its history stays",
     "  --reason T  why; the history keeps it\n"
     "  --force     a protected ref; takes a reason\n",
     am_cmd_ref_rm, false},
    {"ref", "history", "MODEL REF [--at TIME] [--limit N]", "list every move of a ref, newest first",
     "  --at TIME   only the move that was in force then: 2026-11-23T02:00:00Z\n"
     "  --limit N   at most N rows (100)\n",
     am_cmd_ref_history, false},
    {"rollback", NULL, ROLLBACK, "move a ref back to where it was before",
     ROLLBACK_MORE "example: amend rollback demo/base prod --reason 'error rate'\n", am_cmd_rollback, false},
    {"promote", NULL, PROMOTE, "move a ref to a version that its gate has let pass",
     PROMOTE_MORE "example: amend promote demo/base prod v3 --reason 'ticket 512'\n", am_cmd_ref_set, false},
    {"model", "promote", PROMOTE, "the same as promote", PROMOTE_MORE, am_cmd_ref_set, false},
    {"model", "rollback", ROLLBACK, "the same as rollback", ROLLBACK_MORE, am_cmd_rollback, false},
    {"model", "alias", "set|history MODEL REF ...", "the same as ref set and ref history", NULL, am_cmd_model_alias,
     false},
    {"model", "rm", "MODEL[@REV] [--purge] [--yes] [--reason T]", "delete a model, or one of its versions",
     "  --purge     remove its bytes from the store now; without it they stay for a while and restore brings it back\n"
     "  --yes       do not ask\n"
     "  --reason T  kept with the deletion\n"
     "A version that a ref or a job names is not deleted. What others made of it stays whole. With --purge it exits 1 "
     "when not all\n"
     "could be removed, and says what and why.\n",
     am_cmd_model_rm, false},
    {"model", "restore", "MODEL[@REV]", "take a deletion back", NULL, am_cmd_model_restore, false},
    {"model", "label", "MODEL[@REV] NAME=VALUE... NAME-...", "set labels, and remove those that end in -",
     "example: amend model label demo/llama team=vision stage-\n", am_cmd_model_label, false},
    {"model", "pin", "MODEL@REV", "keep a version that no ref names beyond the time of retention", NULL,
     am_cmd_model_pin, false},
    {"model", "unpin", "MODEL@REV", "let retention have the version again", NULL, am_cmd_model_unpin, false},
    {"job", "submit", "-f FILE|- [--wait] [--dry-run]",
     "submit a job from its JSON body, or from a mergekit configuration",
     "  -f FILE   the body; - reads standard input; FILE.yml: the same as amend merge FILE.yml\n"
     "  --wait    wait for the end (--timeout SECONDS)\n"
     "  --dry-run print what the job would need, or why it would be refused; nothing is stored\n"
     "  --idempotency-key K  the same job with the same key is submitted once (a fresh key each time)\n",
     am_cmd_job_submit, false},
    {"job", "list", "[--status S] [--type T] [--method M] [--model M] [--metadata K=V] [--since T] [--limit N] [-w]",
     "list the jobs, newest first",
     "  --status S  queued, running, cancelling, succeeded, failed or cancelled (repeat: any of them)\n"
     "  --type T    merge, unlearn, edit; task for imports\n"
     "  --method M  the method's name; --model M the model published to; --created-by WHO\n"
     "  --metadata K=V  with that pair (repeat: with all of them)\n"
     "  --since T   submitted at that time or later, such as 2026-11-23T01:48:10Z\n"
     "  --archived  those that were put away\n"
     "  --limit N   at most N rows (100)\n"
     "  -w, --watch  stay and show changes: drawn anew on a terminal, one line a change when piped\n",
     am_cmd_job_list, false},
    {"job", "get", "ID [-w]", "show a job",
     "  -w, --watch  stay until it has ended, and show changes; exits 3 when it failed or was cancelled\n",
     am_cmd_job_get, false},
    {"job", "watch", "ID", "follow a job to its end",
     "Prints the version at the end. Exits 3 when the job failed or was cancelled, 124 after --timeout, 130 when "
     "interrupted.\n",
     am_cmd_job_watch, false},
    {"job", "retry", "ID [--wait]", "submit a job again as it was, with names resolved anew", NULL, am_cmd_job_retry,
     false},
    {"job", "rerun", "ID [--wait] [--into M]", "compute a job again and compare the bytes",
     "  --wait    wait for the end; exits 1 when the bytes differ, 3 when the job failed\n"
     "  --into M  publish the result, too (--branch B, --message T); else nothing is published\n",
     am_cmd_job_rerun, false},
    {"job", "set", "ID [--priority N] [--metadata K=V] [--archived|--no-archived]", "change a job",
     "  --priority N    0..100, lower runs first; while it is queued\n"
     "  --metadata K=V  (repeat) in place of what it has; while it is queued\n"
     "  --archived      put it away: lists leave it out; when it has ended\n",
     am_cmd_job_set, false},
    {"job", "cancel", "ID", "ask a job to stop", NULL, am_cmd_job_cancel, false},
    {"job", "logs", "ID [-f]", "print what the job's worker wrote", "  -f   follow it until the job ends\n",
     am_cmd_job_logs, false},
    {"job", "events", "ID [--limit N]", "list what happened to a job, oldest first",
     "  --limit N   at most N rows (1000)\n", am_cmd_job_events, false},
    {"merge", NULL, "METHOD [--base V] MODEL[,param=value...]... --into M [options]", "merge versions into a new one",
     "  --base V           the version that all models come from, for methods that need it\n"
     "  --into M           the model that gets the result\n" METHOD_MORE
     "example: amend merge linear demo/a@v1,weight=0.3 demo/b@v1,weight=0.7 --into demo/ab --wait\n"
     "\n"
     "amend merge FILE.yml --into M takes a mergekit configuration as it is. Directories of this machine that it "
     "names,\n"
     "and models of the local Hugging Face cache, are registered first. Of several documents each may take what\n"
     "another makes, by its name; --wait waits for all.\n"
     "  --compat C         rules (mergekit's counts and divisors, the default), exact or none\n"
     "  --lenient          unknown keys are warnings, as in mergekit\n"
     "  --seed N, --shard-bytes N, --branch B, --message T, --tag T, --priority N, --metadata K=V, --nonfinite P,\n"
     "  --overflow P, --missing W, --extra W, --post-layers-t T, --allow-mixed-architectures: as in the query of POST "
     "/v1/jobs\n"
     "example: amend merge ties.yml --into demo/multi --wait\n",
     am_cmd_shorthand, true},
    {"unlearn", NULL, "METHOD MODEL [--task FINE_TUNE[,base=OLD_BASE]] [--into M] [options]",
     "take something learnt out of a version",
     "  --task V[,base=V]  the fine-tune whose task is to be forgotten, and what it was tuned from\n"
     "  --into M           the model that gets the result (the same model)\n" METHOD_MORE,
     am_cmd_shorthand, true},
    {"edit", NULL, "METHOD MODEL [--into M] [options]", "change a version directly",
     "  --into M           the model that gets the result (the same model)\n" METHOD_MORE, am_cmd_shorthand, true},
    {"methods", NULL, "[TYPE[/METHOD]]", "list the methods, or the parameters of one", NULL, am_cmd_methods, false},
    {"tensors", NULL, "MODEL[@REV] [--prefix P] [--limit N]", "the same as model tensors",
     "  --prefix P  those whose name begins with P\n"
     "  --limit N   at most N rows (all)\n",
     am_cmd_model_tensors, false},
    {"dataset", "push", "DATASET FILE... [options]", "upload a version of a dataset, converting what it is made of",
     "  --format F       safetensors, jsonl, idx, cifar10, cifar100, csv or npy (by the name and the first bytes)\n"
     "  --labels FILE    the labels of idx and npy; or the second FILE\n"
     "  --ids COLUMN     of a table, the column that names the samples (id); row numbers the samples, which is what\n"
     "                   idx, cifar and npy do without a word\n"
     "  --class COLUMN   of a table, the column of the classes (label)\n"
     "  --label L        one more name of the version\n"
     "  --description T  of a dataset that is new\n"
     "  --print          write the converted file instead of sending it\n"
     "All but safetensors and JSON Lines are converted here: the service reads these two only. Each may be .gz.\n"
     "The same bytes again are the version that is there.\n"
     "example: amend dataset push demo/mnist-train train-images-idx3-ubyte.gz train-labels-idx1-ubyte.gz --label raw\n",
     am_cmd_dataset_push, false},
    {"dataset", "list", "[DATASET] [--limit N]", "list the datasets, or the versions of one",
     "  --limit N   at most N rows (100)\n", am_cmd_dataset_list, false},
    {"dataset", "show", "DATASET[@REV]", "show a dataset, or one of its versions",
     "REV is v<N>, latest, a label of the version, or eight digits or more of its SHA-256.\n", am_cmd_dataset_show,
     false},
    {"dataset", "samples", "DATASET[@REV] [--id ID] [--limit N]", "print samples of a version, a line of JSON each",
     "  --id ID     the sample of this id\n"
     "  --limit N   at most N rows (20)\n",
     am_cmd_dataset_samples, false},
    {"dataset", "get", "DATASET[@REV] [FILE]", "download the file of a version (to standard output)", NULL,
     am_cmd_dataset_get, false},
    {"dataset", "rm", "DATASET[@REV] [--yes]", "delete a dataset, or one of its versions", "  --yes   do not ask\n",
     am_cmd_dataset_rm, false},
    {"predictions", "push", "FILE|- [--version V] [--dataset D] [options]",
     "upload what a version said about the samples of a dataset",
     "FILE holds lines of JSON, the first one the header "
     "{\"schema\":\"amend.preds/1\",\"version\",\"dataset\",\"task\","
     "\"n\"},\n"
     "each other one a sample {\"id\",\"y\",\"p\"}; also as .gz, or a table FILE.csv with a head line.\n"
     "  --version V   MODEL@REV, or external:NAME of a model that is not here; a .csv needs it, lines have it in the "
     "header\n"
     "  --dataset D   the dataset that the samples are from: NAMESPACE/NAME@REV, or the name of one that is not here\n"
     "  --id COLUMN  --label COLUMN  --pred COLUMN  of a .csv (id, label, pred); --id '#' numbers the rows\n"
     "  --task T  --split S  of a .csv (classification)\n"
     "  --labels A,B,...     names of the classes, when the columns of a .csv hold names and no numbers\n"
     "example: amend predictions push preds.csv --id index --pred resnet44 --version demo/net@v2 --dataset holdout\n",
     am_cmd_predictions_push, false},
    {"predictions", "list", "[--version V] [--dataset D] [--limit N]", "list the prediction sets, newest first",
     "  --version V  those of MODEL@REV, or of external:NAME\n"
     "  --dataset D  those about NAMESPACE/NAME[@REV], or the dataset of this name\n"
     "  --limit N    at most N rows (100)\n",
     am_cmd_predictions_list, false},
    {"predictions", "show", "ID [--lines]", "show a prediction set", "  --lines   print the lines that were uploaded\n",
     am_cmd_predictions_show, false},
    {"predictions", "rm", "ID [--yes]", "delete a prediction set", "  --yes   do not ask\n", am_cmd_predictions_rm,
     false},
    {"compat", "run", "OLD NEW --data D [--slice KEY] [--gate G] [--move REF]",
     "compare two versions: what the new one breaks, and whether a gate lets it pass",
     "OLD and NEW are MODEL@REV; their prediction sets about the dataset D are compared (amend predictions push).\n"
     "  --data D      the dataset; external:NAME of one that is not here\n"
     "  --old-predictions ID  --new-predictions ID  two prediction sets in place of OLD, NEW and --data\n"
     "  --slice KEY   only slices of this key (repeat; all keys)\n"
     "  --gate G      the gate that decides: NAME or NAME@REVISION\n"
     "  --move REF    move it to NEW when the gate says promote\n"
     "  --bootstrap N  resamples for intervals (2000);  --seed N  of them (0)\n"
     "Waits for the end (--timeout SECONDS). Exits 4 when the gate says hold or inconclusive.\n"
     "example: amend compat run demo/net@prod demo/net@v2 --data holdout --gate default --move prod\n",
     am_cmd_compat_run, false},
    {"compat", "continual", "MODEL|VERSION... --task D [--task D...] [--branch B]",
     "what a line of versions learned and forgot, task by task",
     "MODEL: its newest versions, as many as there are tasks; or name the versions, oldest first. Their prediction "
     "sets\n"
     "about the datasets D are read (amend predictions push).\n\n"
     "  --task D        a dataset, in the order in which they were learned; D=0.1 gives the score of an untrained "
     "model,\n"
     "                  external:NAME means a dataset that is not here\n"
     "  --branch B      the branch of the model (main)\n"
     "  --bootstrap N   resamples behind the intervals (2000)\n"
     "  --seed N        of the resamples (0)\n\n"
     "example: amend compat continual demo/net --task demo/plain --task demo/rot90=0.1\n",
     am_cmd_compat_continual, false},
    {"compat", "report", "ID [--format F] [--out FILE]", "show a report",
     "  --format F  text, md, html or json (text)\n"
     "  --out FILE  write it there; its ending tells the format\n"
     "The HTML is one page that asks for nothing from elsewhere, so it can be sent or archived as it is.\n"
     "example: amend compat report rep_0... --out report.html\n",
     am_cmd_compat_report, false},
    {"compat", "list", "[--version V] [--dataset D] [--method M] [--job J] [--limit N]",
     "list the reports, newest first",
     "  --version V  those with MODEL@REV on either side\n"
     "  --dataset D  those about this dataset;  --method M  --job J\n"
     "  --limit N    at most N rows (100)\n",
     am_cmd_compat_list, false},
    {"compat", "slices", "ID [--limit N]", "list the slices of a report", "  --limit N   at most N rows (1000)\n",
     am_cmd_compat_slices, false},
    {"compat", "samples", "ID [--cell C] [--slice KEY=VALUE] [--limit N]", "list samples of a report",
     "  --cell C    negative, positive, both_right, both_wrong or changed (negative)\n"
     "  --slice KEY=VALUE  only of that slice\n"
     "  --limit N   at most N rows (100)\n",
     am_cmd_compat_samples, false},
    {"gate", "list", "[--limit N]", "list the gates", "  --limit N   at most N rows (100)\n", am_cmd_gate_list, false},
    {"gate", "show", "NAME", "print the policy of a gate",
     "It is JSON that amend gate put reads again; -o json has its revision and who made it.\n", am_cmd_gate_show,
     false},
    {"gate", "put", "NAME FILE|-", "make a gate, or a new revision of it, from a policy in JSON",
     "Every fault of the policy is told. Prints NAME@REVISION.\n"
     "example: echo '{\"rules\":[],\"nfr_max\":0.02}' | amend gate put strict -\n",
     am_cmd_gate_put, false},
    {"gate", "rm", "NAME [--yes]", "delete a gate; its decisions stay", "  --yes   do not ask\n", am_cmd_gate_rm,
     false},
    {"gate", "check", "NAME REPORT | NAME OLD NEW", "let a gate decide about a report that is there",
     "Computes nothing: REPORT is an id, or the newest report about OLD and NEW is taken. Exits 4 when the gate says\n"
     "hold or inconclusive.\n",
     am_cmd_gate_check, false},
    {"gate", "revisions", "NAME [--limit N]", "list the revisions of a gate, newest first",
     "  --limit N   at most N rows (100)\n", am_cmd_gate_revisions, false},
    {"decision", "list", "[--version V] [--ref R] [--verdict W] [--limit N]", "list what gates decided, newest first",
     "  --version V  about MODEL@REV\n"
     "  --ref R      about what this ref named\n"
     "  --verdict W  promote, hold or inconclusive\n"
     "  --limit N    at most N rows (100)\n",
     am_cmd_decision_list, false},
    {"decision", "show", "ID", "show a decision rule by rule", NULL, am_cmd_decision_show, false},
    {"queue", NULL, "[-w]", "show how many jobs are in which state, and what is stored and free",
     "  -w, --watch  stay and show changes\n", am_cmd_queue, false},
    {"verify", NULL, "DIR | MODEL@REV", "check a directory here without a daemon, or a version by the daemon",
     "Of a directory: the header of every safetensors file, the index against the files, JSON, and every SHA-256 that\n"
     "the directory tells of itself (amend.json, SHA256SUMS, names of blobs in a Hugging Face cache). One line a "
     "file;\n"
     "exits 1 with the faults. Of a version: all its stored files are read again by the daemon.\n"
     "A word that begins with / or . is a directory, a word with @ a version.\n",
     am_cmd_verify, false},
    {"context", "list", "", "list the named daemons",
     "They are kept in $XDG_CONFIG_HOME/amend/config.toml (else ~/.config/amend/config.toml):\n"
     "  current = \"NAME\"\n"
     "  [context.NAME]\n"
     "  endpoint = \"http://host:8420\"\n"
     "  namespace = \"demo\"\n"
     "  token_file = \"~/amend.token\"\n"
     "A model without namespace is of the context's; the token is sent to the context's endpoint only.\n"
     "Flags go before the environment (AMEND_ENDPOINT, AMEND_CONTEXT, AMEND_TOKEN), which goes before the context.\n",
     am_cmd_context_list, false},
    {"context", "use", "NAME", "make a context the current one", NULL, am_cmd_context_use, false},
    {"context", "set", "NAME [--endpoint URL] [--namespace NS] [--token-file FILE] [--use]", "make or change a context",
     "  --endpoint URL     the daemon; a new context needs one\n"
     "  --namespace NS     the namespace of models without one; '' for none\n"
     "  --token-file FILE  a file with the token alone; '' for none\n"
     "  --use              make it the current one; the first one is\n"
     "example: amend context set lab --endpoint http://lab:8420 --namespace demo\n",
     am_cmd_context_set, false},
    {"context", "rm", "NAME", "forget a context", NULL, am_cmd_context_rm, false},
    {"doctor", NULL, "", "check the daemon and the set-up here; one line a finding, with a fix", NULL, am_cmd_doctor,
     false},
    {"env", NULL, "[--shell sh|fish]", "print the variables that point Hugging Face clients here, for eval",
     "  --shell S   sh, bash, zsh or fish (sh)\n"
     "example: eval \"$(amend env)\" && hf download demo/ab --revision prod\n"
     "fish:    amend env --shell fish | source\n",
     am_cmd_env, false},
    {"version", NULL, "", "print the version of the client and of the daemon", NULL, am_cmd_version, false},
    {"api", NULL, "METHOD PATH [-d JSON]", "send one request and print the answer as it is",
     "  -d JSON    the body; -d - reads standard input\n"
     "  -H LINE    a header, 'Name: value'\n"
     "example: amend api GET /v1/queue\n",
     am_cmd_api, false},
    {"completion", NULL, "bash|zsh|fish", "print the completion of a shell",
     "It completes commands, options, and names of models, versions, jobs and methods by asking the daemon.\n"
     "  bash: source <(amend completion bash)\n"
     "  zsh:  amend completion zsh > FOLDER_OF_FPATH/_amend\n"
     "  fish: amend completion fish > ~/.config/fish/completions/amend.fish\n",
     am_cmd_completion, false},
    {"help", NULL, "[COMMAND]", "this text, or the help of a command", NULL, am_cmd_help, false},
};
const size_t am_commands_n = sizeof am_commands / sizeof *am_commands;

const struct am_command *am_command_find(const char *noun, const char *verb)
{
    for (size_t i = 0; i < am_commands_n; i++)
        if (am_streq(am_commands[i].noun, noun) && am_streq(am_commands[i].verb, verb))
            return &am_commands[i];
    return NULL;
}
