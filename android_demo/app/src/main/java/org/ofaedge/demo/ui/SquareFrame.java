package org.ofaedge.demo.ui;

import android.content.Context;
import android.util.AttributeSet;
import android.widget.FrameLayout;

/** As high as it is wide: the network gets a square, and the screen shows just that. */
public final class SquareFrame extends FrameLayout {
    public SquareFrame(Context context, AttributeSet attributes) {
        super(context, attributes);
    }

    @Override
    protected void onMeasure(int widthSpec, int heightSpec) {
        int width = MeasureSpec.getSize(widthSpec);
        int height = MeasureSpec.getSize(heightSpec);
        boolean bounded = MeasureSpec.getMode(heightSpec) != MeasureSpec.UNSPECIFIED;
        int side = MeasureSpec.makeMeasureSpec(bounded ? Math.min(width, height) : width, MeasureSpec.EXACTLY);
        super.onMeasure(side, side);
    }
}
