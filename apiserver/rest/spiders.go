package rest

import (
	"context"
	"encoding/json"
	"time"

	"github.com/scrapethis/spider-operator/apiserver/contract"
	"github.com/scrapethis/spider-operator/apiserver/exchange"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

func (h *handlers) ListSpiders(
	ctx context.Context, request contract.ListSpidersRequestObject,
) (contract.ListSpidersResponseObject, error) {
	query, err := parseSpiderList(request.Params)
	if err != nil {
		return nil, err
	}
	found, more := h.spiders.List(callerOf(ctx), query)
	if fitting := fittingPage(found); fitting < len(found) {
		found, more = found[:fitting], true
	}
	response := contract.ListSpiders200JSONResponse{
		// Not nil: an empty list is [].
		Body:    make([]contract.Spider, 0, len(found)),
		Headers: contract.ListSpiders200ResponseHeaders{XRequestID: exchange.Of(ctx).RequestID, XDataAge: h.dataAge()},
	}
	for _, spider := range found {
		response.Body = append(response.Body, presentSpider(spider))
	}
	if more {
		response.Headers.Link = new(nextSpiders(request.Params, found[len(found)-1].Position()))
	}
	return response, nil
}

// maxSpiderPage bounds the settings and descriptions of one page of spiders, in bytes: a thousand spiders can have a hundred
// megabytes of them, and a page is made in memory.
const maxSpiderPage = 1 << 20

// fittingPage returns how many of the spiders, from the first on, are one page: one at least, where there is one.
func fittingPage(found []*view.Spider) int {
	size := 0
	for i, spider := range found {
		if size += len(spider.Settings) + len(spider.Description); size > maxSpiderPage && i > 0 {
			return i
		}
	}
	return len(found)
}

func (h *handlers) GetSpider(
	ctx context.Context, request contract.GetSpiderRequestObject,
) (contract.GetSpiderResponseObject, error) {
	spider, err := h.spiders.Find(requestOf(ctx), callerOf(ctx), request.ID)
	if err != nil {
		return nil, err
	}
	revalidated(ctx)
	tag, requestID := h.tags.spider(spider), exchange.Of(ctx).RequestID
	if matches(request.Params.IfNoneMatch, tag) {
		return contract.GetSpider304Response{
			Headers: contract.NotModifiedResponseHeaders{ETag: tag, XRequestID: requestID, XDataAge: h.dataAge()},
		}, nil
	}
	return contract.GetSpider200JSONResponse{
		Body:    presentSpider(spider),
		Headers: contract.GetSpider200ResponseHeaders{ETag: tag, XRequestID: requestID, XDataAge: h.dataAge()},
	}, nil
}

func (h *handlers) CreateSpider(
	ctx context.Context, request contract.CreateSpiderRequestObject,
) (contract.CreateSpiderResponseObject, error) {
	change, err := parseSpider(*request.Body)
	if err != nil {
		return nil, err
	}
	spider, err := h.spiders.Create(requestOf(ctx), callerOf(ctx), change)
	if err != nil {
		return nil, err
	}
	return contract.CreateSpider201JSONResponse{
		Body: presentSpider(spider),
		Headers: contract.CreateSpider201ResponseHeaders{
			XRequestID: exchange.Of(ctx).RequestID, Location: "/api/v1/spiders/" + spider.ID.String(),
		},
	}, nil
}

func (h *handlers) ChangeSpider(
	ctx context.Context, request contract.ChangeSpiderRequestObject,
) (contract.ChangeSpiderResponseObject, error) {
	change, err := parseSpider(*request.Body)
	if err != nil {
		return nil, err
	}
	spider, err := h.spiders.Change(requestOf(ctx), callerOf(ctx), request.ID, change)
	if err != nil {
		return nil, err
	}
	return contract.ChangeSpider200JSONResponse{
		Body:    presentSpider(spider),
		Headers: contract.ChangeSpider200ResponseHeaders{XRequestID: exchange.Of(ctx).RequestID},
	}, nil
}

func (h *handlers) DeleteSpider(
	ctx context.Context, request contract.DeleteSpiderRequestObject,
) (contract.DeleteSpiderResponseObject, error) {
	if err := h.spiders.Delete(requestOf(ctx), callerOf(ctx), request.ID); err != nil {
		return nil, err
	}
	return contract.DeleteSpider200JSONResponse{
		Body:    contract.DeletedSpider{Ok: true, Message: "Spider deleted"},
		Headers: contract.DeleteSpider200ResponseHeaders{XRequestID: exchange.Of(ctx).RequestID},
	}, nil
}

// presentSpider returns a spider as the contract shows it.
func presentSpider(spider *view.Spider) contract.Spider {
	shown := contract.Spider{
		ID:          spider.ID.String(),
		Name:        spider.Name,
		RepoPath:    optional(&spider.RepoPath),
		Description: optional(&spider.Description),
		UserID:      spider.Owner(),
		CreatedAt:   time.Unix(spider.Created, 0).UTC(),
	}
	if spider.Settings != "" {
		settings := json.RawMessage(spider.Settings)
		shown.Settings = &settings
	}
	return shown
}
