package rest

import (
	"github.com/scrapethis/spider-operator/apiserver/contract"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

func (h *handlers) summarizeJobs(r *request) error {
	summary := h.jobs.Summary(r.caller())
	body := contract.JobsSummary{
		Total: summary.Total(), ByStatus: statusCounts(&summary.Counts),
		BySpider: make([]contract.SpiderSummary, 0, len(summary.Spiders)),
	}
	for i := range summary.Spiders {
		spider := &summary.Spiders[i]
		body.BySpider = append(body.BySpider, contract.SpiderSummary{
			SpiderID: spider.ID.String(), SpiderName: spider.Name, Total: spider.Total(), ByStatus: statusCounts(&spider.Counts),
		})
	}
	h.tellAge(r)
	return r.show(body)
}

func statusCounts(counts *view.Counts) contract.StatusCounts {
	return contract.StatusCounts{
		Pending: counts[view.Pending], Running: counts[view.Running], Finished: counts[view.Finished],
		Cancelled: counts[view.Cancelled], Error: counts[view.Error],
	}
}
