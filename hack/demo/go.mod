module github.com/scrapethis/spider-operator/hack/demo

go 1.26.0

require github.com/scrapethis/spider-operator v0.0.0

replace github.com/scrapethis/spider-operator => ../..
