package main

// image is one of the project's images.
type image struct {
	Name       string
	Context    string // folder of the build context, and of its .dockerignore
	Dockerfile string
	Module     string // folder of the Go module that is compiled, if any
}

// images are all that `make demo` needs. Paths are relative to the repository.
var images = []image{
	{Name: "spider-operator", Context: ".", Dockerfile: "Dockerfile", Module: "."},
	{Name: "spider-demo-site", Context: "hack/demo", Dockerfile: "hack/demo/site/Dockerfile", Module: "hack/demo"},
	{Name: "spider-demo-counter", Context: "hack/demo", Dockerfile: "hack/demo/counter/Dockerfile", Module: "hack/demo"},
	{Name: "spider-demo-scrapy", Context: "hack/demo/scrapy", Dockerfile: "hack/demo/scrapy/Dockerfile"},
}

func names() []string {
	all := make([]string, len(images))
	for i, img := range images {
		all[i] = img.Name
	}
	return all
}
