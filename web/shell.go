package web

import (
	"context"

	"github.com/a-h/templ"
)

// Page is what a page tells its shell.
type Page struct {
	// Title is the page's heading as the browser's tab shows it; the shell adds the program's name, and "Error: " when
	// Failed. For a person's page leave the name out of it: tabs and histories are seen by others.
	Title string
	// Failed says that a form on the page was refused.
	Failed bool
	// Back is a link to where the reader came from; Breadcrumbs is the path to the page. Use one of the two.
	Back        Link
	Breadcrumbs []Link
	// Person is whose record the page shows or acts on: the banner stays in sight while the page scrolls.
	Person *PersonBanner
	// Access fills the footer of a page about a person.
	Access Access
	// Live pages listen for changes; the shell adds the region in which they are announced.
	Live bool
}

// Access is what the footer of a person's page says about who may look and who has looked.
type Access struct {
	// Why says in a sentence why this viewer may see the record: "You are a clinician at the practice where …".
	Why string
	// SeenURL is the page that lists who has seen this record.
	SeenURL string
}

func (p Page) documentTitle(ctx context.Context) string {
	title := p.Title + " – " + Text(ctx, "web.name")
	if p.Failed {
		title = Text(ctx, "web.error-prefix", title)
	}
	return title
}

// backLink is where the small-screen "back" of a breadcrumb goes: the last link that leads anywhere.
func backLink(crumbs []Link) (last Link, ok bool) {
	for _, c := range crumbs {
		if c.URL != "" {
			last, ok = c, true
		}
	}
	return last, ok
}

func dressed(ctx context.Context) bool {
	s := siteOf(ctx)
	return s != nil && s.assets.dressed
}

func assetURL(ctx context.Context, name string) string {
	if s := siteOf(ctx); s != nil {
		return s.assets.url(name)
	}
	return ""
}

func environment(ctx context.Context) Environment {
	if s := siteOf(ctx); s != nil {
		return s.environment
	}
	return Live
}

func place(ctx context.Context) string {
	if s := siteOf(ctx); s != nil {
		return s.place
	}
	return ""
}

func openAPI(ctx context.Context) bool {
	s := siteOf(ctx)
	return s != nil && s.openAPI
}

// htmxConfig keeps htmx inside the content security policy and pages about people out of the browser's storage, and shows
// the problem page in place of what is on the page when a request for a part of it fails.
const htmxConfig = `{"includeIndicatorStyles":false,"allowEval":false,"allowScriptTags":false,"selfRequestsOnly":true,` +
	`"historyCacheSize":0,"refreshOnHistoryMiss":true,"scrollIntoViewOnBoost":false,"responseHandling":[{"code":"204","swap":false},{"code":"[23]..","swap":true},` +
	`{"code":"[45]..","swap":true,"error":true,"target":"#maincontent","select":"#maincontent","swapOverride":"outerHTML"}]}`

func scriptAttributes(ctx context.Context) templ.Attributes {
	a := templ.Attributes{"data-copied": Text(ctx, "web.copy.done"), "data-paused": Text(ctx, "web.live.paused")}
	if dressed(ctx) {
		a["data-design"] = assetURL(ctx, "nhsuk.js")
	}
	return a
}

// AssetURL is where one of the site's own files is, for a page that needs more than the shell brings.
func AssetURL(ctx context.Context, name string) string { return assetURL(ctx, name) }
