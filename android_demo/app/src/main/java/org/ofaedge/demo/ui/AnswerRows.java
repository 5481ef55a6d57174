package org.ofaedge.demo.ui;

import android.app.Activity;
import android.view.View;
import android.widget.ProgressBar;
import android.widget.TextView;
import java.util.List;
import org.ofaedge.demo.R;
import org.ofaedge.demo.core.Answer;

/** The three best classes, each with its share as a bar. */
final class AnswerRows {
    private final Activity activity;
    private final View[] rows;

    AnswerRows(Activity activity) {
        this.activity = activity;
        this.rows = new View[] {activity.findViewById(R.id.answer1), activity.findViewById(R.id.answer2),
            activity.findViewById(R.id.answer3)};
    }

    void clear() {
        for (View row : rows) {
            row.setVisibility(View.INVISIBLE);
        }
    }

    void show(Answer answer, List<String> labels) {
        int[] best = answer.top(rows.length);
        double[] shares = answer.probabilities();
        for (int i = 0; i < rows.length; i++) {
            rows[i].setVisibility(i < best.length ? View.VISIBLE : View.INVISIBLE);
            if (i < best.length) {
                String percent = activity.getString(R.string.percent, 100 * shares[best[i]]);
                ((TextView) rows[i].findViewById(R.id.label)).setText(labels.get(best[i]));
                ((TextView) rows[i].findViewById(R.id.share)).setText(percent);
                ((ProgressBar) rows[i].findViewById(R.id.bar)).setProgress((int) Math.rint(1000 * shares[best[i]]));
            }
        }
    }
}
