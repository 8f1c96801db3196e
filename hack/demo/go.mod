module github.com/scrapethis/spider-operator/hack/demo

go 1.26
