#!/bin/sh
# Tells the service how a call ended. An AGI script, for dialplans that keep their own flow:
#
#   AGI(event2.sh,RECORDING,UNIQUEID,NUMBER,EXTENSION,DATE,DIRECTION,STATUS,TALKING,WAITING[,OUR NUMBER])
#
# RECORDING is ${MIXMONITOR_FILENAME}; NUMBER is the customer's, and may change places with EXTENSION; DATE is
# YYYY-MM-DD HH:MM:SS; DIRECTION in or out; STATUS ${DIALSTATUS} or ${CDR(disposition)}; TALKING and WAITING are
# seconds. Blanks before a value and quotes around it are dropped; '' is an empty one.
#
# To install: put it into the folder of AGI scripts (/var/lib/asterisk/agi-bin), owned by Asterisk's user, who may
# read and run it and nobody else (chmod 700: it holds a secret), and look through the settings below.
# Needs curl. It is for /bin/sh, not bash: every system on which Asterisk runs has a POSIX shell there.
#
# It returns at once and does its work in the background. What the service doesn't take now is kept in SPOOL and sent
# later: 5 tries in about a minute, then with the next call.

# ---- Settings ----------------------------------------------------------------------------------------------------

# The service's address, such as https://telephony.example.com: fill it in.
SERVICE=""

# The account's clientId, as the cabinet shows it: fill it in.
CLIENTID=""

# Where Queue() writes what became of its calls: who answered, how long they waited and talked. "" without Queue().
QUEUE_LOG="/var/log/asterisk/queue_log"

# A file for what is sent and answered, with the customers' numbers. "" when all is well.
DEBUG_LOG=""

# "yes": the service keeps the recordings (wav or mp3).
SEND_RECORD_TO_SERVICE=""

# A program that tells how long a recording is, such as /usr/bin/soxi: TALKING is wrong when Dial() rings several
# phones. Used for answered calls of which queue_log tells nothing. "": TALKING is taken.
SOXI_PATH=""

# Where the recording is found: an address that is shown in the CRM, or, with SEND_RECORD_TO_SERVICE, a file to send in
# place of RECORDING. $UNIQUEID, $DATE, $DAY (YYYY-MM-DD) and $FILE (the recording's name, fit for an address) are known:
#   RECORD_PATH="https://login:password@my-server.ru/asterisk/$DAY/$UNIQUEID.wav"
set_record_path() {
    RECORD_PATH=""
}

# Rarely changed: where untold calls are kept (each copy of this script needs a folder of its own), and how many at
# most; where recordings without a folder are; how many digits an extension has at most; the seconds between the tries.
SPOOL="/var/spool/asterisk/event2"
SPOOL_LIMIT=5000
RECORD_FOLDER="/var/spool/asterisk/monitor"
EXTENSION_DIGITS=6
RETRY_AFTER="2 6 16 36"

# ---- While the dialplan waits ------------------------------------------------------------------------------------

set -u
umask 077
LC_ALL=C
PATH="${PATH:-/usr/bin:/bin}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
export LC_ALL PATH
trap '' HUP # Asterisk's, when the channel is gone
NEWLINE='
'

debug() {
    if [ -n "$DEBUG_LOG" ]; then printf '%s %s\n' "$(date '+%Y-%m-%d %H:%M:%S')" "$*" >>"$DEBUG_LOG"; fi
}

# For whoever looks after the PBX: no numbers in it.
complain() {
    debug "$@"
    printf 'event2.sh: %s\n' "$*" >&2
    logger -t event2.sh -p daemon.warning -- "$*" 2>/dev/null
    return 0
}

# Takes in the lines that Asterisk writes before all else; anybody else's input is left alone.
hear_asterisk() {
    [ -n "${AST_AGI_DIR-}" ] || return 0
    while IFS= read -r line && [ -n "$line" ]; do :; done
}

# PLAIN: a value without what stands around it, and without what would end a line.
plain() {
    PLAIN=$1
    [ "${#PLAIN}" -le 1000 ] || PLAIN=$(printf '%.1000s' "$PLAIN")
    case $PLAIN in *[[:cntrl:]]*) PLAIN=$(printf '%s' "$PLAIN" | tr -d '[:cntrl:]') ;; esac
    while :; do
        case $PLAIN in
            ' '*) PLAIN=${PLAIN# } ;;
            *' ') PLAIN=${PLAIN% } ;;
            \'*\' | \"*\") PLAIN=${PLAIN#?} PLAIN=${PLAIN%?} ;;
            *) return ;;
        esac
    done
}

# A folder that only we can read. Without it the call is told all the same, but lost when that fails.
open_spool() {
    if { [ -d "$SPOOL" ] || mkdir -p "$SPOOL"; } && [ ! -h "$SPOOL" ] && chmod 700 "$SPOOL"; then
        return 0
    fi 2>/dev/null
    complain "the folder $SPOOL can't be used, so nothing can be kept: let Asterisk's user write there"
    SPOOL=${TMPDIR:-/tmp}/event2.$1
    EVENT2_KEEPS=no
    mkdir -m 700 "$SPOOL"
}

write_lines() {
    for value in "$@"; do
        plain "$value"
        printf '%s\n' "$PLAIN" || return 1
    done
}

# Writes the call down, one value a line, and starts ourselves again to see to it.
take_call() {
    hear_asterisk
    if [ -z "$CLIENTID" ] || [ -z "$SERVICE" ]; then
        complain "fill in SERVICE and CLIENTID in $0"
        exit 1
    fi
    EVENT2_KEEPS=yes
    EVENT2_CALL=$(date +%s).$$
    open_spool "$EVENT2_CALL" || exit 1
    written=$SPOOL/$EVENT2_CALL
    if ! { write_lines "$@" >"$written.new" && mv "$written.new" "$written.call"; }; then
        complain "a call is lost: nothing can be written to $SPOOL"
        exit 1
    fi
    EVENT2_SPOOL=$SPOOL EVENT2_PBX=$PPID
    export EVENT2_CALL EVENT2_SPOOL EVENT2_KEEPS EVENT2_PBX
    case $0 in */*) self=$0 ;; *) self=./$0 ;; esac
    if [ -x "$self" ]; then set -- "$self"; else set -- sh "$self"; fi
    if command -v setsid >/dev/null; then set -- setsid "$@"; else set -- nohup "$@"; fi
    "$@" </dev/null >/dev/null 2>&1 &
}

# ---- What became of the call -------------------------------------------------------------------------------------

# Reads a call that was written down, and writes down the event to send.
describe() {
    RECORD='' UNIQUEID='' NUMBER='' EXTENSION='' DATE='' DIRECTION='' STATUS='' TALKING='' WAITING='' OURS=''
    {
        IFS= read -r RECORD
        IFS= read -r UNIQUEID
        IFS= read -r NUMBER
        IFS= read -r EXTENSION
        IFS= read -r DATE
        IFS= read -r DIRECTION
        IFS= read -r STATUS
        IFS= read -r TALKING
        IFS= read -r WAITING
        IFS= read -r OURS
    } <"$1.call"
    [ -n "$DATE" ] || DATE=$(date '+%Y-%m-%d %H:%M:%S')
    [ -n "$DIRECTION" ] || DIRECTION=in
    tell_apart
    case $EXTENSION in */* | *@*) extension_of "$EXTENSION" ;; esac
    case $EXTENSION in *[!0-9*#]*) EXTENSION='' ;; esac # better a call without its manager than none
    look_into_queue_log
    find_recording
    measure "$1"
    compose "$1" && rm -f "$1.call"
}

is_extension() {
    case $1 in '' | *[!0-9*#]*) return 1 ;; esac
    [ "${#1}" -le "$EXTENSION_DIGITS" ]
}

# The document shows number, extension and extension, number.
tell_apart() {
    [ -n "$EXTENSION" ] && ! is_extension "$EXTENSION" || return 0
    case $EXTENSION in */* | *@*) return 0 ;; esac
    case $EXTENSION in *[!+0-9]*) numeric=no ;; *) numeric=yes ;; esac
    if is_extension "$NUMBER" || { [ -z "$NUMBER" ] && [ "$numeric" = yes ]; }; then
        swapped=$NUMBER NUMBER=$EXTENSION EXTENSION=$swapped
    fi
}

# PJSIP/101, Local/101@from-queue/n, 101@from-queue -> 101
extension_of() {
    EXTENSION=${1#*/}
    EXTENSION=${EXTENSION%%[/@]*}
}

# A call that is in a queue still, as its log says, gets 5 s: the end is written a moment after the hangup.
look_into_queue_log() {
    TALKED=''
    [ -n "$QUEUE_LOG" ] || return 0
    looks=0
    while :; do
        found=$(queue_log_lines | ID=$UNIQUEID awk -F '|' '
            $2 "" != ENVIRON["ID"] "" { next }
            $5 == "ENTERQUEUE" { inside = 1 }
            $5 == "CONNECT" { answered = 1; agent = $4; held = $6 }
            $5 ~ /^COMPLETE(AGENT|CALLER)$/ { ended($6, $7) }
            $5 ~ /^(BLIND|ATTENDED)TRANSFER$/ { ended($(NF - 2), $(NF - 1)) }
            $5 == "ABANDON" { left("CANCEL") }
            $5 ~ /^EXIT(WITHTIMEOUT|WITHKEY|EMPTY)$/ { left("NOANSWER") }
            function ended(hold, talk) {
                answered = 1; inside = 0; agent = $4; waited += hold; talked += talk; held = 0
            }
            function left(how) { inside = 0; status = how; waited += $8 }
            END {
                if (inside) state = "inside"
                else if (answered || status) state = "over"
                else state = "never"
                if (answered) status = "ANSWERED"
                print state, (status ? status : "-"), waited + held, (inside ? "-" : talked + 0), agent
            }')
        looks=$((looks + 1))
        case $found in inside*) [ "$looks" -lt 25 ] || break ;; *) break ;; esac
        sleep 0.2 2>/dev/null || sleep 1
    done
    IFS=' ' read -r state result waited talked agent <<END
$found
END
    [ "$state" = never ] || believe_queue "$result" "$waited" "$talked" "$agent"
}

# The last 20 MB of the log, and of the one before it, in case it has just been rotated.
queue_log_lines() {
    for log in "$QUEUE_LOG.1" "$QUEUE_LOG"; do
        [ -r "$log" ] && tail -c 20000000 "$log"
    done | grep -F -e "|$UNIQUEID|"
}

# A queue knows better than the dialplan, but for a Dial() that reached somebody after nobody in the queue did.
believe_queue() {
    [ "$1" != - ] || return 0
    if [ "$1" != ANSWERED ] && [ "$STATUS" = ANSWER ]; then return 0; fi
    STATUS=$1 WAITING=$2
    [ "$3" = - ] || TALKED=$3
    case $4 in
        */*) extension_of "$4" ;;
        *) if is_extension "$4"; then EXTENSION=$4; fi ;; # else it is a member's name
    esac
}

answered() {
    case $STATUS in ANSWER | ANSWERED) return 0 ;; *) return 1 ;; esac
}

# RECORD: the file; KEPT_AT: the address to tell; UPLOADED: yes when the file goes to the service.
find_recording() {
    KEPT_AT='' UPLOADED=no
    # shellcheck disable=SC2034 # DAY and FILE are for set_record_path
    DAY=${DATE%% *} FILE=$(encode "${RECORD##*/}")
    set_record_path
    case $RECORD in '' | /*) ;; *) RECORD=$RECORD_FOLDER/$RECORD ;; esac
    case $RECORD_PATH in
        '') ;;
        /*) RECORD=$RECORD_PATH ;;
        *) if answered; then KEPT_AT=$RECORD_PATH; fi ;;
    esac
    if answered && [ "$SEND_RECORD_TO_SERVICE" = yes ] && [ -z "$KEPT_AT" ] && [ -f "$RECORD" ]; then
        case $RECORD in
            *.wav | *.mp3) UPLOADED=yes ;;
            *) complain "a recording is neither wav nor mp3 and can't be sent" ;;
        esac
    fi
}

# TALKING: what the queue says, else the recording's length, else what the dialplan says.
measure() {
    if [ -n "$TALKED" ]; then
        TALKING=$TALKED
    elif answered && [ -n "$SOXI_PATH" ] && [ -x "$SOXI_PATH" ] && [ -f "$RECORD" ] && finished; then
        link_recording "$1"
        length=$("$SOXI_PATH" -D "$LINK" 2>/dev/null) && TALKING=${length%%.*}
        rm -f "$LINK"
    fi
    case $TALKING in *[!0-9]*) TALKING='' ;; esac
    case $WAITING in *[!0-9]*) WAITING='' ;; esac
}

# Waits, a minute at most, until a recording doesn't grow any more and Asterisk has closed it.
finished() {
    size=-1 seconds=0
    while [ "$seconds" -lt 60 ]; do
        before=$size
        size=$(wc -c <"$RECORD") 2>/dev/null || return 1
        if [ "$size" = "$before" ] && ! is_open; then return 0; fi
        sleep 1
        seconds=$((seconds + 1))
    done
    return 1
}

# Where the system shows which files Asterisk has open.
is_open() {
    for file in "/proc/$EVENT2_PBX/fd"/*; do
        # shellcheck disable=SC3013 # -ef is in POSIX since 2024, and in dash, bash and busybox before
        if [ "$file" -ef "$RECORD" ]; then return 0; fi
    done
    return 1
}

# LINK: a name for the recording in which nothing comes from a caller.
link_recording() {
    LINK=$1.${RECORD##*.}
    ln -sf "$RECORD" "$LINK"
}

compose() {
    BODY=''
    add type hangup
    add uniqueid "$UNIQUEID"
    add phone "$NUMBER"
    add code "$EXTENSION"
    add status "$STATUS"
    add direct "$DIRECTION"
    add date "$DATE"
    [ -z "$WAITING" ] || add hold "$WAITING"
    [ -z "$TALKING" ] || add duration "$TALKING"
    [ -z "$KEPT_AT" ] || add path "$KEPT_AT"
    [ -z "$OURS" ] || add extPhone "$OURS"
    if [ "$UPLOADED" = yes ]; then
        add record wait
        printf '%s\n' "$UNIQUEID" "$RECORD" >"$1.recording" || return 1
    fi
    printf '%s' "$BODY" >"$1.new" && mv "$1.new" "$1.event" || return 1
    debug "$1: $UNIQUEID $DIRECTION number=$NUMBER extension=$EXTENSION status=$STATUS date=$DATE" \
        "waiting=$WAITING talking=$TALKING path=$KEPT_AT upload=$UPLOADED"
}

add() {
    BODY="$BODY&$1=$(encode "$2")"
}

# Each byte as %XX, unless all are harmless.
encode() {
    case $1 in
        *[!A-Za-z0-9._~-]*) ;;
        *) printf '%s' "$1" && return ;;
    esac
    # shellcheck disable=SC2046 # hexadecimal digits and blanks only; printf repeats itself for each
    printf '%%%s' $(printf '%s' "$1" | od -An -v -tx1)
}

# ---- Telling the service -----------------------------------------------------------------------------------------

# Sends what there is of a kind (event, upload), oldest first. Who finds another at it leaves it to that one, which
# looks again before it goes.
deliver() {
    kind=$1 newest=0
    lock || return 0
    tidy
    while :; do
        send_all
        if [ "$LEFT" = no ]; then
            unlock
            if something_waits && lock; then continue; fi
            return 0
        fi
        [ "$WORTH_TRYING" = yes ] || break
        if [ "${LAST%%.*}" -gt "$newest" ]; then waits=$RETRY_AFTER newest=${LAST%%.*}; fi # it gets its 5 tries too
        [ -n "$waits" ] || break
        sleep "${waits%% *}"
        case $waits in *' '*) waits=${waits#* } ;; *) waits='' ;; esac
    done
    debug "${kind}s are left for later"
    unlock
}

# An upload waits until its call was told.
ready() {
    [ -e "$1" ] && { [ "$kind" = event ] || [ ! -e "${1%.*}.event" ]; }
}

something_waits() {
    for entry in *."$kind"; do
        if ready "$entry"; then return 0; fi
    done
    return 1
}

send_all() {
    LEFT=no WORTH_TRYING=no LAST='' failures=0
    for entry in *."$kind"; do
        ready "$entry" || continue
        LAST=$entry
    done
    for entry in *."$kind"; do
        ready "$entry" || continue
        lock_is_alive
        "send_$kind" "$entry"
        debug "${entry}: $CODE $ANSWER"
        case $CODE in
            2??) rm -f "$entry" ;;
            400 | 409 | 410 | 413 | 415 | 422)
                complain "the service refused an $kind: $CODE"
                rm -f "$entry"
                ;;
            000 | 408 | 425 | 429 | 5??)
                LEFT=yes WORTH_TRYING=yes
                failures=$((failures + 1))
                if [ "$CODE" = 000 ] || [ "$failures" -ge 3 ]; then return 0; fi
                ;;
            *)
                LEFT=yes
                complain "the service answered $CODE: look at SERVICE and CLIENTID in $0"
                return 0
                ;;
        esac
    done
}

# The clientId and what is told go through a pipe: other users of this machine see neither among the processes.
send_event() {
    hear "$({ printf 'clientId=%s' "$(encode "$CLIENTID")" && cat "$1"; } | ask --max-time 10 --data @-)"
}

read_recording() {
    { IFS= read -r UNIQUEID && IFS= read -r RECORD; } <"$1"
}

send_upload() {
    read_recording "$1"
    if [ ! -f "$RECORD" ]; then
        CODE=410 ANSWER="there is no $RECORD any more"
        return 0
    fi
    link_recording "${1%.*}"
    case $LINK in *.mp3) audio=audio/mpeg ;; *) audio=audio/wav ;; esac
    hear "$(printf '%s' "$CLIENTID" | ask --max-time 600 --speed-limit 1 --speed-time 30 -F 'clientId=<-' \
        -F type=upload --form-string "uniqueid=$UNIQUEID" -F "file=@$LINK;type=$audio")"
    rm -f "$LINK"
}

# The answer, and its status in a last line of its own; 000 when there was none.
ask() {
    curl -q -g -s -S --connect-timeout 5 -w '\n%{http_code}' "$@" --url "$SERVICE/api/event" 2>&1 || printf '\n000'
}

hear() {
    CODE=${1##*"$NEWLINE"}
    plain "${1%"$NEWLINE"*}"
    ANSWER=$PLAIN
}

# ---- What is kept ------------------------------------------------------------------------------------------------

# NUMBER.call a call as it was reported, .event what is told of it, .recording a file that may still be written,
# .upload one to be sent. Names begin with the time (seconds since 1970), so that the oldest comes first.

# Only one sends at a time. The lock names its holder and when they were last seen, so that a dead one's can be broken.
lock() {
    for _ in 1 2; do
        printf '%s %s\n' "$$" "$(date +%s)" >"lock.$$"
        if ln "lock.$$" "$kind.lock" 2>/dev/null; then
            rm -f "lock.$$"
            return 0
        fi
        rm -f "lock.$$"
        is_abandoned "$kind.lock" || return 1
        mv "$kind.lock" "lock.$$" 2>/dev/null && rm -f "lock.$$"
    done
    return 1
}

lock_is_alive() {
    printf '%s %s\n' "$$" "$(date +%s)" >"lock.$$" && mv "lock.$$" "$kind.lock"
}

unlock() {
    rm -f "$kind.lock"
}

is_abandoned() {
    IFS=' ' read -r holder since <"$1" || return 1
    case $holder$since in *[!0-9]*) return 0 ;; esac
    ! kill -0 "$holder" 2>/dev/null || [ $(($(date +%s) - since)) -gt 900 ] # longer than an upload may take
}

# Sees to what an interrupted script has left, and lets go what is a week old or too much.
tidy() {
    now=$(date +%s)
    if [ "$kind" = event ]; then
        for entry in *.call *.recording *.new; do
            [ -e "$entry" ] && [ $((now - ${entry%%.*})) -gt 600 ] || continue
            case $entry in
                *.call) describe "${entry%.*}" ;;
                *.recording) mv "$entry" "${entry%.*}.upload" ;;
                *) rm -f "$entry" ;;
            esac
        done
    fi
    set -- *."$kind"
    for entry in "$@"; do
        [ -e "$entry" ] || continue
        if [ "$#" -gt "$SPOOL_LIMIT" ] || [ $((now - ${entry%%.*})) -gt 604800 ]; then
            complain "an $kind could not be sent for too long and is let go"
            rm -f "$entry"
        fi
        shift
    done
}

# ---- In the background -------------------------------------------------------------------------------------------

see_to_call() {
    cd "$EVENT2_SPOOL" || exit 1
    describe "$EVENT2_CALL"
    deliver event
    if [ -e "$EVENT2_CALL.recording" ] && read_recording "$EVENT2_CALL.recording" && finished; then
        mv "$EVENT2_CALL.recording" "$EVENT2_CALL.upload"
    fi
    deliver upload
    [ "$EVENT2_KEEPS" = yes ] || rm -rf "$EVENT2_SPOOL"
}

if [ -n "${EVENT2_CALL-}" ]; then see_to_call; else take_call "$@"; fi
