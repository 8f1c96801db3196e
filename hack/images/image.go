package main

// image is one of the project's images.
type image struct {
	Name       string
	Context    string // folder of the build context, and of its .dockerignore
	Dockerfile string
	Module     string // folder of the Go module that is compiled, if any
	Tests      bool   // only tests need it: it is built when it is named
}

// images are all that `make demo` needs, and those of the end-to-end tests. Paths are relative to the repository.
var images = []image{
	{Name: "spider-operator", Context: ".", Dockerfile: "Dockerfile", Module: "."},
	{Name: "spider-demo-site", Context: "hack/demo", Dockerfile: "hack/demo/site/Dockerfile", Module: "hack/demo"},
	{Name: "spider-demo-counter", Context: "hack/demo", Dockerfile: "hack/demo/counter/Dockerfile", Module: "hack/demo"},
	{Name: "spider-demo-scrapy", Context: "hack/demo/scrapy", Dockerfile: "hack/demo/scrapy/Dockerfile"},

	{Name: "spider-test-root", Context: "test/spiders", Dockerfile: "test/spiders/root/Dockerfile", Tests: true},
	{Name: "spider-test-starts", Context: "test/spiders", Dockerfile: "test/spiders/starts/Dockerfile", Tests: true},
	{Name: "spider-test-browser", Context: "test/spiders", Dockerfile: "test/spiders/browser/Dockerfile", Tests: true},
}

func names() []string {
	all := make([]string, len(images))
	for i, img := range images {
		all[i] = img.Name
	}
	return all
}
