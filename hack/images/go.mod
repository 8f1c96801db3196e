module github.com/scrapethis/spider-operator/hack/images

go 1.26

require github.com/moby/patternmatcher v0.6.1

require github.com/google/go-cmp v0.7.0
