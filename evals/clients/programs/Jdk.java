// Posts an image with the JDK's HttpClient, which offers h2c on a plain connection.
// Usage: java Jdk.java URL IMAGE; one line a reply: REQUEST STATUS LABEL.
import java.io.ByteArrayOutputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.io.ByteArrayInputStream;
import java.util.regex.Pattern;

class Jdk {
    static final HttpClient client = HttpClient.newHttpClient();
    static URI url;

    static void post(String name, BodyPublisher body, String type, boolean expect) throws Exception {
        for (int turn = 0; turn < 2; turn++) {
            var request = HttpRequest.newBuilder(url).header("Content-Type", type).expectContinue(expect).POST(body).build();
            var reply = client.send(request, BodyHandlers.ofString());
            var label = Pattern.compile("\"label\":\"([^\"]*)\"").matcher(reply.body());
            System.out.println(name + " " + reply.statusCode() + " " + (label.find() ? label.group(1) : "-"));
        }
    }

    public static void main(String[] args) throws Exception {
        url = URI.create(args[0]);
        byte[] image = Files.readAllBytes(Path.of(args[1]));
        post("raw", BodyPublishers.ofByteArray(image), "image/jpeg", false);
        post("chunked", BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(image)), "image/jpeg", false);
        post("expect", BodyPublishers.ofByteArray(image), "image/jpeg", true);
        var form = new ByteArrayOutputStream();
        form.write("--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n".getBytes());
        form.write(image);
        form.write("\r\n--x--\r\n".getBytes());
        post("form", BodyPublishers.ofByteArray(form.toByteArray()), "multipart/form-data; boundary=x", false);
    }
}
