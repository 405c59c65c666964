"""FreePBX's own dialplan as far as calls of ours touch it: its contexts by their names, in our own words.

FreePBX up to 16 calls its parts by `Macro()`, 17 by `Gosub()` into contexts of the same names; the first runs
on Asterisk 16 here, the second on 22. It rings only 2 s before voicemail answers (FreePBX: 15).
"""

from __future__ import annotations

import re

from ari_app.demo.pbx.asterisk import Asterisk

# Custom destination 1 is ours with "Return: Yes" and the queue 600, 2 is ours with "Return: No".
# 600 rings agents by their extension's context, 601 their telephones alone; 602 is a ring group, which lets
# both sides transfer, but the caller of an inbound call.
RING_GROUP = ("103", "104")
"""The telephones of the ring group 602."""
_DIALPLAN = """
[globals]
TRANSFER_CONTEXT=from-internal-xfer
RINGTIMER_DEFAULT=2
DIAL_OPTIONS=Ttr

#include extensions_custom.conf

[from-trunk]
include => from-pstn

[from-pstn]
include => from-pstn-custom
include => ext-did

[ext-did]
include => ext-did-custom
exten => _749511122XX,1,Set(__DIRECTION=INBOUND)
 same => n,Gosub(sub-record-check,s,1(in,${EXTEN},dontcare))
 same => n,Set(__FROM_DID=${EXTEN})
 same => n,Set(CDR(did)=${FROM_DID})
 same => n,ExecIf($["${CALLERID(name)}" = ""]?Set(CALLERID(name)=${CALLERID(num)}))
 same => n,Set(CHANNEL(hangup_handler_push)=crm-hangup,s,1)
 same => n,Goto(customdests,dest-${IF($["${EXTEN}" = "74951112244"]?2:1)},1)

[sub-record-check]
exten => s,1,Set(__REC_POLICY_MODE=${DB(shop/recording)})
 same => n,Return()

[customdests]
include => customdests-custom
exten => dest-1,1,Noop(Entering Custom Destination retailCRM)
 same => n,Gosub(retailcrm-incoming,s,1())
 same => n,Noop(Returned from Custom Destination retailCRM)
 same => n,Goto(ext-queues,600,1)
exten => dest-2,1,Noop(Entering Custom Destination retailCRM)
 same => n,Goto(retailcrm-incoming,s,1)

[crm-hangup]
exten => s,1,Log(NOTICE,crm-hangup: ${FROM_DID} ${DB(shop/greeting)})
 same => n,Return()

; --- where phones and transfers dial ----------------------------------------------------------------------

[internal]
include => from-internal

[from-internal]
include => from-internal-noxfer
include => from-internal-xfer
include => bad-number

[from-internal-noxfer]
include => from-internal-noxfer-custom
include => from-internal-noxfer-additional

[from-internal-noxfer-additional]
include => app-dnd-cf

[app-vmmain]
exten => *97,1,Answer()
 same => n,Sub(user-callerid)
 same => n,Read(KEY,,1,,1,20)
 same => n,Log(NOTICE,*97 heard ${KEY})
 same => n,Wait(20)
 same => n,Hangup()

[from-internal-xfer]
include => from-internal-custom
include => from-internal-additional

[from-internal-additional]
include => app-vmmain
include => ext-findmefollow
include => findmefollow-ringallv2
include => ext-queues
include => ext-group
include => ext-local
include => parkedcalls
include => outbound-allroutes

[from-did-direct]
include => ext-findmefollow
include => ext-local

[bad-number]
exten => _X.,1,Hangup(1)

; *78 and *79: do not disturb on and off; *72 and a number, *73: all calls forwarded, and no more.
[app-dnd-cf]
exten => *78,1,Answer()
 same => n,Sub(user-callerid)
 same => n,Set(DB(DND/${AMPUSER})=YES)
 same => n,Hangup()
exten => *79,1,Answer()
 same => n,Sub(user-callerid)
 same => n,Noop(${DB_DELETE(DND/${AMPUSER})})
 same => n,Hangup()
exten => _*72X.,1,Answer()
 same => n,Sub(user-callerid)
 same => n,Set(DB(CF/${AMPUSER})=${EXTEN:3})
 same => n,Hangup()
exten => *73,1,Answer()
 same => n,Sub(user-callerid)
 same => n,Noop(${DB_DELETE(CF/${AMPUSER})})
 same => n,Hangup()

; Who calls: a device's user, or somebody outside, whose name it cuts to 40 bytes.
[macro-user-callerid]
exten => s,1,ExecIf($["${REALCALLERIDNUM}" = ""]?Set(REALCALLERIDNUM=${CALLERID(num)}))
 same => n,Set(AMPUSER=${DB(DEVICE/${REALCALLERIDNUM}/user)})
 same => n,Set(CALLERID(name)=${CALLERID(name):0:40})
 same => n,EndSub()

; --- an extension -----------------------------------------------------------------------------------------

[ext-local]
exten => _[1-3]XX,hint,PJSIP/${EXTEN}
exten => _[1-3]XX,1,Set(own=${DB(AMPUSER/${EXTEN}/ringtimer)})
 same => n,Set(__RINGTIMER=${IF($[0${own} > 0]?${own}:${RINGTIMER_DEFAULT})})
 same => n,Sub(exten-vm,${EXTEN},${EXTEN})
 same => n,Hangup()

[macro-exten-vm]
exten => s,1,Sub(user-callerid)
 same => n,Set(__EXTTOCALL=${ARG2})
 same => n,Set(__PICKUPMARK=${ARG2})
 same => n,Set(box=${IF($["${DB(AMPUSER/${ARG2}/voicemail)}" = "novm"]?novm:${ARG1})})
 same => n,Sub(dial-one,${IF($["${box}" = "novm"]?:${RINGTIMER})},${DIAL_OPTIONS},${EXTTOCALL})
 same => n,Set(status=${DIALSTATUS})
 same => n,Set(next=${IF($["${status}" = "BUSY"]?${DB(CFB/${EXTTOCALL})}:${DB(CFU/${EXTTOCALL})})})
 same => n,Set(options=${IF($["${DIRECTION}" = "INBOUND"]?${STRREPLACE(DIAL_OPTIONS,T)}:${DIAL_OPTIONS})})
 same => n,ExecIf($[${LEN(${next})} > 0]?Dial(Local/${next}@from-internal/n,${RINGTIMER},${options}))
 same => n,GotoIf($["${box}" = "novm"]?s-${status},1)
 same => n,Sub(vm,${box},${status})
 same => n,EndSub()
exten => s-BUSY,1,Playtones(busy)
 same => n,Busy(20)
exten => _s-!,1,Playtones(congestion)
 same => n,Congestion(10)

; ARG1: seconds, ARG2: options, ARG3: the extension. It dials all devices, and comes back unless one answers.
[macro-dial-one]
exten => s,1,Set(user=${ARG3})
 same => n,Set(forwarded=${DB(CF/${user})})
 same => n,GotoIf($["${forwarded}" != "" & "${CFIGNORE}" = "" & "${forwarded}" != "${AMPUSER}"]?forward)
 same => n,GotoIf($["${DB(DND/${user})}" != ""]?busy)
 same => n,Set(state=${EXTENSION_STATE(${user}@ext-local)})
 same => n,GotoIf($["${DB(CW/${user})}" != "" & "${CWIGNORE}" = ""]?devices)
 same => n,GotoIf($["${state}" = "NOT_INUSE" | "${state}" = "UNAVAILABLE" | "${state}" = "UNKNOWN"]?devices)
 same => n(busy),Set(DIALSTATUS=BUSY)
 same => n,EndSub()
 same => n(devices),Set(rest=${DB(AMPUSER/${user}/device)})
 same => n,Set(dialled=)
 same => n(more),Set(one=${DB(DEVICE/${CUT(rest,&,1)}/dial)})
 same => n,Set(rest=${CUT(rest,&,2-)})
 same => n,ExecIf($["${one:0:6}" = "PJSIP/"]?Set(one=${PJSIP_DIAL_CONTACTS(${one:6})}))
 same => n,ExecIf($[${LEN(${one})} > 0]?Set(dialled=${dialled}&${one}))
 same => n,GotoIf($[${LEN(${rest})} > 0]?more)
 same => n,Set(DIALSTATUS=CHANUNAVAIL)
 same => n,GotoIf($[${LEN(${dialled})} = 0]?done)
 same => n,Set(options=${IF($["${DIRECTION}" = "INBOUND"]?${STRREPLACE(ARG2,T)}I:${ARG2})})
 same => n,Set(options=${options}${IF($["${NODEST}" != ""]?@answered@)})
 same => n,Dial(${dialled:1},${ARG1},${options})
 same => n,GotoIf($["${DIALSTATUS}" != "ANSWER"]?done)
 same => n,Sub(hangupcall)
 same => n(done),EndSub()
 same => n(forward),GotoIf($["${ARG1}" = ""]?from-internal,${forwarded},1)
 same => n,Set(options=${IF($["${DIRECTION}" = "INBOUND"]?${STRREPLACE(ARG2,T)}:${ARG2})})
 same => n,Dial(Local/${forwarded}@from-internal/n,${ARG1},${options})
 same => n,EndSub()

[macro-hangupcall]
exten => s,1,Hangup()

; Voicemail, unless a queue, a ring group or Follow Me keeps the call out of it.
[macro-vm]
exten => s,1,Sub(user-callerid)
 same => n,Sub(blkvm-check)
 same => n,GotoIf($["${GOSUB_RETVAL}" = "TRUE"]?blocked)
 same => n,Log(NOTICE,voicemail of ${ARG1}: ${ARG2})
 same => n,Answer()
 same => n,Playback(silence/10)
 same => n(blocked),Hangup()

[macro-blkvm-set]
exten => s,1,Set(__BLKVM_CHANNEL=${CHANNEL})
 same => n,Set(SHARED(BLKVM,${BLKVM_CHANNEL})=TRUE)
 same => n,EndSub()
[macro-blkvm-setifempty]
exten => s,1,GotoIf($["${BLKVM_CHANNEL}" = ""]?set)
 same => n,Set(GOSUB_RETVAL=${SHARED(BLKVM,${BLKVM_CHANNEL})})
 same => n,EndSub()
 same => n(set),Sub(blkvm-set)
 same => n,Set(GOSUB_RETVAL=)
 same => n,EndSub()
[macro-blkvm-clr]
exten => s,1,Set(SHARED(BLKVM,${BLKVM_CHANNEL})=)
 same => n,Set(GOSUB_RETVAL=)
 same => n,EndSub()
[macro-blkvm-check]
exten => s,1,Set(GOSUB_RETVAL=${SHARED(BLKVM,${BLKVM_CHANNEL})})
 same => n,EndSub()
[macro-auto-blkvm]
exten => s,1,Sub(blkvm-clr)
 same => n,EndSub()

; --- Follow Me: the desk phone first, then the list -------------------------------------------------------

[ext-findmefollow]
exten => _[1-3]XX,1,Set(on=${DB(AMPUSER/${EXTEN}/followme/ddial)})
 same => n,GotoIf($["${on}" = "" | "${on}" = "EXTENSION"]?ext-local,${EXTEN},1)
 same => n,Gosub(followme-sub,${EXTEN},1)
 same => n,Hangup()

[followme-sub]
exten => _[1-3]XX,1,GotoIf($[${LEN(${BLINDTRANSFER})} > 0]?known)
 same => n,Sub(user-callerid)
 same => n(known),Set(__EXTTOCALL=${EXTEN})
 same => n,Sub(blkvm-setifempty)
 same => n,GotoIf($["${GOSUB_RETVAL}" = "TRUE"]?ours)
 same => n,Set(__NODEST=)
 same => n(ours),Set(before=${NODEST})
 same => n,Set(__NODEST=${EXTEN})
 same => n,Set(_FMGRP=${EXTEN})
 same => n,Set(__FMLIST=${DB(AMPUSER/${EXTEN}/followme/grplist)})
 same => n,Dial(Local/FMPR-${EXTEN}@from-internal&Local/FMGL-${EXTEN}#@from-internal,6,${DIAL_OPTIONS})
 same => n,GotoIf($["${before}" != ""]?back)
 same => n,Set(__NODEST=)
 same => n,Sub(blkvm-clr)
 same => n,Sub(vm,${EXTEN},${DIALSTATUS})
 same => n(back),Return()

[findmefollow-ringallv2]
exten => _FMPR-.,1,Sub(dial-one,5,${DIAL_OPTIONS},${EXTEN:5})
 same => n,Hangup()
exten => _FMGL-.,1,Wait(1)
 same => n,Set(device=${DB(AMPUSER/${FMLIST}/device)})
 same => n,GotoIf($["${device}" = ""]?outside)
 same => n,Sub(dial-one,5,${DIAL_OPTIONS},${FMLIST})
 same => n,Hangup()
 same => n(outside),Dial(Local/${FMLIST}@from-internal/n,5,${DIAL_OPTIONS})
 same => n,Hangup()

; --- queues and ring groups -------------------------------------------------------------------------------

[ext-queues]
include => ext-queues-custom
exten => _60[01],1,Sub(user-callerid)
 same => n,Answer()
 same => n,Set(__FROMQUEUEEXTEN=${CALLERID(number)})
 same => n,Sub(blkvm-set)
 same => n,Set(__NODEST=${EXTEN})
 same => n,Set(QUEUENAME=${DB(QPENALTY/${EXTEN}/name)})
 same => n,Queue(${QUEUENAME},t,,)
 same => n,Sub(blkvm-clr)
 same => n,Hangup()

[from-queue]
exten => 600,1,Goto(from-internal,${QAGENT},1)
exten => 601,1,Goto(from-queue-exten-only,${QAGENT},1)
exten => _[1-3]XX,1,Set(QAGENT=${EXTEN})
 same => n,Set(__FROMQ=true)
 same => n,Goto(from-queue,${NODEST},1)

[from-queue-exten-only]
exten => _[1-3]XX,1,GotoIf($[${DB_EXISTS(AMPUSER/${EXTEN}/cidnum)} = 0]?end)
 same => n,Gosub(sub-record-check,s,1(exten,${EXTEN},))
 same => n,Sub(dial-one,,${DIAL_OPTIONS},${EXTEN})
 same => n(end),Hangup()

[ext-group]
exten => 602,1,Sub(user-callerid)
 same => n,Set(options=${IF($["${DIRECTION}" = "INBOUND"]?tr:Ttr)})
 same => n,Dial(PJSIP/103&PJSIP/104,30,${options})
 same => n,Hangup()

; --- outbound routes: a second trunk after one that is busy -----------------------------------------------

[outbound-allroutes]
include => outbound-allroutes-custom
include => outrt-1

[outrt-1]
exten => _[+78]X.,1,Sub(user-callerid)
 same => n,Set(__OUTNUM=${EXTEN})
 same => n,Sub(dialout-trunk,${DB(TRUNK/1)})
 same => n,Sub(dialout-trunk,PJSIP/${OUTNUM}@trunk)
 same => n,Hangup()

[macro-dialout-trunk]
exten => s,1,GotoIf($["${ARG1}" = ""]?next)
 same => n,Dial(${ARG1},20,${STRREPLACE(DIAL_OPTIONS,r)})
 same => n,GotoIf($["${DIALSTATUS}" = "ANSWER"]?over)
 same => n(next),EndSub()
 same => n(over),Sub(hangupcall)
"""
HTTP = """
#include http_additional.conf
#include http_custom.conf
"""
HTTP_ADDITIONAL = """
[general]
enabled=yes
enablestatic=no
bindaddr=127.0.0.1
bindport={port}
prefix=
sessionlimit=100
"""
ARI = """
[general]
#include ari_general_additional.conf
#include ari_general_custom.conf
enabled = yes
#include ari_additional.conf
#include ari_additional_custom.conf
"""
MANAGER = """
[general]
enabled = yes
port = {port}
bindaddr = 127.0.0.1
displayconnects = no

[admin]
secret = amp111
deny = 0.0.0.0/0.0.0.0
permit = 127.0.0.1/255.255.255.0
read = all
write = all

#include manager_additional.conf
#include manager_custom.conf
"""


def dialplan(major: int) -> str:
    """Write extensions.conf and all that it includes, for an Asterisk of a major version."""
    if major < 21:
        text = re.sub(r"\bSub\(", "Macro(", _DIALPLAN).replace("EndSub()", "MacroExit()")
        return text.replace("@answered@", "M(auto-blkvm)")
    text = re.sub(r"\bSub\(([a-z-]+)(?:,(.*))?\)$", r"Gosub(macro-\1,s,1(\2))", _DIALPLAN, flags=re.MULTILINE)
    return text.replace("EndSub()", "Return(${GOSUB_RETVAL})").replace("@answered@", "U(macro-auto-blkvm)")


def files(asterisk: Asterisk) -> dict[str, str]:
    """Write the other files of FreePBX that include what is ours."""
    return {
        "http.conf": HTTP,
        "http_additional.conf": HTTP_ADDITIONAL.format(port=asterisk.http_port),
        "http_custom.conf": "",
        "ari.conf": ARI,
        "ari_general_additional.conf": "enabled=yes\npretty=no\nwebsocket_write_timeout=100\n",
        "ari_additional.conf": "",
        "manager.conf": MANAGER.format(port=asterisk.ports.ami),
        "manager_additional.conf": "",
    }


async def fill_database(asterisk: Asterisk) -> None:
    """Put the shop's extensions and queues into FreePBX's database, as it keeps them in Asterisk's own."""
    for entry in ("shop greeting hello", "QPENALTY 600/name sales", "QPENALTY 601/name support"):
        await asterisk.command(f"database put {entry}")
    for code in [*asterisk.phones, *asterisk.twins]:
        if code.startswith(("1", "2", "3", "4")):
            await asterisk.command(f"database put AMPUSER {code}/device {code}")
            await asterisk.command(f"database put AMPUSER {code}/cidnum {code}")
            await asterisk.command(f"database put DEVICE {code}/user {code}")
            await asterisk.command(f"database put DEVICE {code}/dial PJSIP/{code}")
