package android.os;

public class Message {
    public int what;
    public Messenger replyTo;
    private Bundle data = new Bundle();

    public static Message obtain(Handler handler, int what) {
        Message message = new Message();
        message.what = what;
        return message;
    }

    public void setData(Bundle bundle) {
        data = bundle;
    }

    public Bundle getData() {
        return data;
    }
}
