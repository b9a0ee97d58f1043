// Posts an image with Go's net/http. Usage: go run nethttp.go URL IMAGE; one line a reply: REQUEST STATUS LABEL.
package main

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"regexp"
)

var label = regexp.MustCompile(`"label":"([^"]*)"`)

func post(name, url, kind string, body func() io.Reader, header http.Header) {
	for turn := 0; turn < 2; turn++ {
		request, err := http.NewRequest("POST", url, body())
		if err != nil {
			panic(err)
		}
		for key, values := range header {
			request.Header[key] = values
		}
		request.Header.Set("Content-Type", kind)
		reply, err := http.DefaultClient.Do(request)
		if err != nil {
			panic(err)
		}
		content, _ := io.ReadAll(reply.Body)
		reply.Body.Close()
		found := label.FindSubmatch(content)
		if found == nil {
			found = [][]byte{nil, []byte("-")}
		}
		fmt.Println(name, reply.StatusCode, string(found[1]))
	}
}

func main() {
	url := os.Args[1]
	image, err := os.ReadFile(os.Args[2])
	if err != nil {
		panic(err)
	}
	raw := func() io.Reader { return bytes.NewReader(image) }
	post("raw", url, "image/jpeg", raw, nil)
	post("chunked", url, "image/jpeg", func() io.Reader { return io.MultiReader(bytes.NewReader(image)) }, nil)
	post("expect", url, "image/jpeg", raw, http.Header{"Expect": {"100-continue"}})
	post("upgrade", url, "image/jpeg", raw, http.Header{"Connection": {"Upgrade"}, "Upgrade": {"h2c"}})
	var form bytes.Buffer
	writer := multipart.NewWriter(&form)
	part, _ := writer.CreateFormField("file")
	part.Write(image)
	writer.Close()
	post("form", url, writer.FormDataContentType(), func() io.Reader { return bytes.NewReader(form.Bytes()) }, nil)
}
