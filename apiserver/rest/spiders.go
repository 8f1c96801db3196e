package rest

import (
	"cmp"
	"encoding/json"
	"time"

	"github.com/scrapethis/spider-operator/apiserver/contract"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

func (h *handlers) listSpiders(r *request) error {
	query, err := parseSpiderList(r.query)
	if err != nil {
		return err
	}
	found, more := h.spiders.List(r.caller(), query)
	if fitting := fittingPage(found); fitting < len(found) {
		found, more = found[:fitting], true
	}
	if more {
		r.c.Header("Link", nextPage("spiders", r.query, found[len(found)-1].Position()))
	}
	shown := make([]contract.Spider, 0, len(found)) // Not nil: an empty list is [].
	for _, spider := range found {
		shown = append(shown, presentSpider(spider))
	}
	h.tellAge(r)
	return r.show(shown)
}

// maxSpiderPage bounds the settings and descriptions of one page of spiders, in bytes: a thousand spiders can have a hundred
// megabytes of them, and a page is made in memory.
const maxSpiderPage = 1 << 20

// fittingPage returns how many of the spiders, from the first on, fit on one page: at least one, if there is one.
func fittingPage(found []*view.Spider) int {
	size := 0
	for i, spider := range found {
		if size += len(spider.Settings) + len(spider.Description); size > maxSpiderPage && i > 0 {
			return i
		}
	}
	return len(found)
}

func (h *handlers) getSpider(r *request) error {
	spider, err := h.spiders.Find(r.context(), r.caller(), r.id())
	if err != nil {
		return err
	}
	h.tellAge(r)
	if r.isKnown(h.etags.spider(spider)) {
		r.unchanged()
		return nil
	}
	return r.show(presentSpider(spider))
}

func (h *handlers) createSpider(r *request) error {
	change, err := parseSpider(r.body)
	if err != nil {
		return err
	}
	spider, err := h.spiders.Create(r.context(), r.caller(), change)
	if err != nil {
		return err
	}
	r.c.Header("Location", "spiders/"+spider.ID.String()) // Relative, like a Link.
	r.c.Header("ETag", h.etags.spider(spider))
	return r.show(presentSpider(spider))
}

func (h *handlers) changeSpider(r *request) error {
	change, err := parseSpider(r.body)
	if err != nil {
		return err
	}
	spider, err := h.spiders.Change(r.context(), r.caller(), r.id(), change, r.spiderCondition())
	if err != nil {
		return err
	}
	r.c.Header("ETag", h.etags.spider(spider))
	return r.show(presentSpider(spider))
}

func (h *handlers) deleteSpider(r *request) error {
	if err := h.spiders.Delete(r.context(), r.caller(), r.id(), r.spiderCondition()); err != nil {
		return err
	}
	return r.show(contract.DeletedSpider{Ok: true, Message: "Spider deleted"})
}

// presentSpider returns a spider as the contract shows it.
func presentSpider(spider *view.Spider) contract.Spider {
	var tags *[]string
	if len(spider.Tags) > 0 {
		tags = &spider.Tags
	}
	return contract.Spider{
		ID:          spider.ID.String(),
		Name:        spider.Name,
		RepoPath:    optional(&spider.RepoPath),
		Description: optional(&spider.Description),
		Settings:    json.RawMessage(cmp.Or(spider.Settings, "{}")),
		Tags:        tags,
		UserID:      spider.Owner(),
		CreatedAt:   time.Unix(spider.Created, 0).UTC(),
	}
}
