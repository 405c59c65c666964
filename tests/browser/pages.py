"""The cabinet's pages, as its navigation names them."""

TABS = (
    "/",
    "/extensions",
    "/asterisk",
    "/telephony",
    "/api-access",
    "/statistics",
    "/live",
    "/calls",
    "/events",
    "/check",
)
