-- Who is linked to a chart: every search for one person asks.
CREATE INDEX chart_link_survivor ON chart_link (lane, tenant, survivor);
