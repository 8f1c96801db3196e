// The program that runs the local cluster. It needs the standard library only, so that `go run` starts it at once.
module github.com/scrapethis/spider-operator/hack/cluster

go 1.26.0
