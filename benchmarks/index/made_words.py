"""The words that made code is named and described with."""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


AREAS = _words(
    "billing catalog search routing storage identity shipping pricing audit replay metrics ledger "
    "calendar mailbox gateway sessions uploads layout render parser compiler network cluster backup "
    "search_index notify payments inventory translation scheduling telemetry permissions geometry "
    "simulation archive streams"
)

NOUNS = _words(
    "account address anchor batch block branch bucket buffer cache carrier cell channel chunk claim "
    "column cursor customer deadline delta device digest document edge entry envelope epoch event field "
    "filter folder frame graph group handle header hunk index invoice item job journal key label lease "
    "ledger letter level limit line link lock manifest margin marker message metric mirror node notice "
    "offset option order outline packet page pair parcel parent partition path payload peer period phase "
    "plan point policy pool port prefix price probe profile query quota range rate reader receipt record "
    "region relay report request reserve result revision role root route row rule sample schema scope "
    "score segment sensor session shard share signal slice slot snapshot socket source span stage state "
    "step stream summary table target tariff task tenant ticket token topic trace track transfer tree "
    "unit update value vector version vertex view volume voucher warehouse watch weight window worker"
)

VERBS = _words(
    "accept add adjust align allocate append apply archive assign attach balance bind build cancel check "
    "clamp clear close collect combine commit compare compute convert copy count create cut decode defer "
    "detach drain drop encode estimate evict expand expire explain export fetch fill find flush fold "
    "forget format gather grow guess hash hold import insert inspect join keep label leave limit list "
    "load lock map mark match measure merge migrate move narrow notify open order pack parse patch pick "
    "plan poll prefer prune publish pull push rank read rebuild reduce refresh refund reject release "
    "remove rename renew repair replace report reserve reset resolve restore resume retry return reverse "
    "rotate round route sample save scan schedule seal search select send settle shift shrink sign skip "
    "sort split stamp start store subtract sum suspend swap sync tag take trace track transfer trim "
    "unpack update validate verify visit wait wake walk warm watch weigh widen withdraw write"
)

QUALITIES = _words(
    "active adjacent archived bounded broken cached careful cold common compact complete concurrent daily "
    "default deferred distant distinct dormant early empty encoded exact expired failed fast final first "
    "foreign frozen full global hidden idle inner invalid large last late lazy linear local locked lost "
    "merged minimal missing mixed monthly mutable narrow nested nightly numeric oldest open orphan outer "
    "partial pending plain preferred primary private public quick random raw recent remote sealed "
    "secondary shared sharded signed single sorted sparse stale static steady strict sticky sudden "
    "temporary tiny total trusted unread unsigned urgent valid vacant weekly"
)

ROLES = _words(
    "Store Reader Writer Builder Planner Service Policy Cache Router Monitor Registry Session Client Codec"
)

SENTENCES = (
    "{verb} the {quality} {noun} of a {other}, so that every {third} is seen once.",
    "Keeps one {noun} for each {quality} {other}; the {third} decides which of them goes first.",
    "Returns the {quality} {noun}, or nothing when its {other} has no {third}.",
    "A {noun} that is {quality} is never put into a {other} before its {third} has been written.",
    "{verb} what the {other} left behind: the {quality} {noun} counts, a {third} without one does not.",
    "The {noun} holds at most {number} {other}s; a {quality} {third} makes room for the next.",
    "Fails where the {quality} {noun} and the {other} disagree about a {third}.",
    "Waits for the {noun} no longer than {number} seconds, then takes the {quality} {other} and its {third}.",
)
