"""The cabinet's pages, as its navigation names them."""

TABS = (
    "/",
    "/extensions",
    "/numbers",
    "/asterisk",
    "/telephony",
    "/api-access",
    "/statistics",
    "/missed",
    "/live",
    "/calls",
    "/events",
    "/check",
    "/call-me",
    "/api-access/reference",
)
