"""The cabinet's pages, as its navigation names them."""

TABS = (
    "/",
    "/asterisk",
    "/telephony",
    "/api-access",
    "/statistics",
    "/live",
    "/calls",
)
