"""The families of our own HTTP server; `energyd.export.httpmetrics` counts them."""

from typing import Final

from energyd.export.metric import FLOAT, HISTOGRAM, SUMMARY, Metric, counter, gauge

HTTP_REQUESTS = counter(
    "energyd_http_requests_total",
    "",
    "Requests that energyd has answered, since the aggregator was started, as all of its http figures.",
    ("handler", "method", "status"),
    "200",
)
HTTP_DURATION = Metric(
    "energyd_http_request_duration_seconds",
    HISTOGRAM,
    "seconds",
    "Time from the request to the last byte of the answer.",
    ("handler", "method"),
    "500",
    FLOAT,
)
HTTP_IN_PROGRESS = gauge("energyd_http_requests_in_progress", "", "Requests that are being answered.", ("handler", "method"), "20")
HTTP_REQUEST_SIZE = Metric(
    "energyd_http_request_size_bytes",
    SUMMARY,
    "bytes",
    "Size of the bodies of requests.",
    ("handler", "method", "status"),
    "200",
    FLOAT,
)
HTTP_RESPONSE_SIZE = Metric(
    "energyd_http_response_size_bytes",
    SUMMARY,
    "bytes",
    "Size of the bodies of answers as they were sent, compressed or not.",
    ("handler", "method", "status"),
    "200",
    FLOAT,
)
FRESHNESS = Metric(
    "energyd_freshness_seconds",
    HISTOGRAM,
    "seconds",
    "Time from the newest sample of zones or meters, or from the end of what is attributed, to the scrape that shows it; since the "
    "aggregator was started.",
    ("data",),
    "50",
    FLOAT,
)

FAMILIES_FAILED = counter(
    "energyd_families_failed_total",
    "",
    "Families that a defect of energyd has kept from being served and pushed since the aggregator was started; its log names them.",
    (),
    "1",
)

METRICS: Final = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
